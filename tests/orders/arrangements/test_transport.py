"""Transport: costs of an optimal plan."""

import itertools

import numpy as np
import pools
import pytest
import scipy.optimize
import scipy.sparse

from zsgen.orders import embeddings, similarity
from zsgen.orders import pool as pool_lib
from zsgen.orders.arrangements import transport


def _arrange(pool, **options):
  return transport.transport(pool, transport.Options(**options), seed=0)


def _unit(rng, size):
  vectors = rng.standard_normal((size, 8))
  vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
  return embeddings.Embeddings(vectors.astype(np.float32))


def _pool(size, heldout):
  rng = np.random.default_rng(0)
  return pool_lib.Pool(
      np.zeros(size, np.int32),
      train=_unit(rng, size),
      heldout=_unit(rng, heldout),
  )


def test_equals_the_best_of_all_assignments():
  rng = np.random.default_rng(3)
  train, heldout = rng.random((5, 3)), rng.random((5, 3))
  pool = pools.make(train, heldout)
  cost = np.linalg.norm(train[:, None] - heldout, axis=-1)
  best = min(
      itertools.permutations(range(5)),
      key=lambda plan: cost[range(5), plan].sum(),
  )
  pair_costs = cost[range(5), best]
  actual = _arrange(pool)
  assert actual.rows.tolist() == np.argsort(pair_costs).tolist()
  np.testing.assert_allclose(actual.distances, np.sort(pair_costs), atol=1e-5)
  assert actual.notes["solver"] == "network simplex"
  farthest = _arrange(pool, pick="farthest")
  assert farthest.rows.tolist() == actual.rows.tolist()[::-1]


@pytest.mark.slow
def test_sinkhorn_approximates_the_exact_plan():
  pytest.importorskip("ott")
  pool = _pool(60, 12)
  exact, approximate = _arrange(pool), _arrange(pool, exact_pairs=0)
  assert approximate.notes["solver"] == "sinkhorn"
  costs = [plan.notes["transport_cost"] for plan in (exact, approximate)]
  assert costs[0] <= costs[1] * (1 + 1e-4) <= 1.02 * costs[0]
  ranks = [np.argsort(plan.rows) for plan in (exact, approximate)]
  assert np.corrcoef(*ranks)[0, 1] > 0.95


def test_many_pairs_equal_a_linear_program():
  """Solves 90,000 pairs exactly; the optimum is unique, so costs agree."""
  pool = _pool(600, 150)
  cost = np.concatenate(
      [block for _, block in similarity.distances(pool.train, pool.heldout)],
      axis=1,
  ).T
  solved = scipy.optimize.linprog(
      cost.ravel(),
      A_eq=scipy.sparse.vstack(
          [
              scipy.sparse.kron(scipy.sparse.eye_array(600), np.ones((1, 150))),
              scipy.sparse.kron(np.ones((1, 600)), scipy.sparse.eye_array(150)),
          ],
          format="csr",
      ),
      b_eq=np.concatenate([np.full(600, 1 / 600), np.full(150, 1 / 150)]),
      method="highs-ds",
  )
  expected = (solved.x.reshape(cost.shape) * cost).sum(axis=1) * 600
  actual = _arrange(pool)
  assert actual.notes["solver"] == "network simplex"
  assert actual.notes["transport_cost"] == pytest.approx(solved.fun)
  np.testing.assert_allclose(
      actual.distances[np.argsort(actual.rows)], expected, atol=1e-6
  )
