"""Transport: costs of an optimal plan."""

import itertools

import numpy as np
import pools
import pytest

from zsgen.orders import embeddings
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
  assert actual.notes["solver"] == "linear program"
  farthest = _arrange(pool, pick="farthest")
  assert farthest.rows.tolist() == actual.rows.tolist()[::-1]


def test_sinkhorn_approximates_the_exact_plan():
  pytest.importorskip("ott")
  pool = _pool(60, 12)
  exact, approximate = _arrange(pool), _arrange(pool, exact_pairs=0)
  assert approximate.notes["solver"] == "sinkhorn"
  costs = [plan.notes["transport_cost"] for plan in (exact, approximate)]
  assert costs[0] <= costs[1] * (1 + 1e-4) <= 1.02 * costs[0]
  ranks = [np.argsort(plan.rows) for plan in (exact, approximate)]
  assert np.corrcoef(*ranks)[0, 1] > 0.95
