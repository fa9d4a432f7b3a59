"""Transport: what it costs to move each example onto the held-out set."""

import dataclasses
import os
from typing import Any

import numpy as np

from zsgen.core import errors, registry
from zsgen.core.schema import option
from zsgen.orders import embeddings, similarity
from zsgen.orders import pool as pool_lib
from zsgen.orders.arrangements import arranged, multiset, ranked

# Costs that differ by less are ties: solvers leave noise below this.
_DIGITS = 6
_ITERATIONS = 5000
# Far more than the network simplex method needs for 20 million pairs.
_MOST_PIVOTS = 10**9
# Pairs whose costs are held at once.
_MOST_PAIRS = 2**24


@dataclasses.dataclass(frozen=True)
class Options(multiset.Options):
  """The options of `transport`."""

  # Which examples come first; random: the sequence is random.
  pick: str = option("nearest", choices=("nearest", "farthest", "random"))
  # Maximum number of pairs of training and held-out examples for an exact plan;
  # each pair takes about 50 bytes.
  exact_pairs: int = option(20_000_000, low=0)
  # Weight of the entropy if there are more pairs, as a share of the mean cost.
  epsilon: float = option(0.01, low=1e-4)

  @property
  def reads_vectors(self) -> bool:
    """Whether the sequence depends on vectors of examples."""
    return self.pick != "random"


@registry.arrangement("transport", options=Options)
def transport(
    pool: pool_lib.Pool, options: Options, seed: int
) -> arranged.Arranged:
  """Sorts the shared examples by their cost in an optimal-transport plan.

  Mass 1 lies evenly on the n examples and evenly on the held-out set; the plan
  moves it at the least sum of mass x Euclidean distance (spec E9). An
  example's cost is the mean distance that its mass travels. Up to
  `exact_pairs` pairs the plan is exact (the network simplex method of POT,
  which the released code calls too); beyond, it is that of Sinkhorn's iteration
  with a little entropy (ott-jax), whose floats may differ between machines.

  Args:
    pool: the rows with embeddings, [N].
    options: for `as_released` see `ranked.ranked`.
    seed: of the shuffle.

  Returns:
    The order; a row's distance is its cost.

  Raises:
    InputError: no embeddings, POT or ott-jax is missing, or no plan was found.
  """
  rows, _ = multiset.passes(pool.tasks, options.budget, options.per_task)
  train, heldout = pool.take(rows).embedded()
  if len(rows) * len(heldout) <= options.exact_pairs:
    costs, notes = _exact(train, heldout)
  else:
    costs, notes = _sinkhorn(train, heldout, options.epsilon)
  return ranked.ranked(
      rows, np.round(costs, _DIGITS), options.pick, seed, options.as_released
  ).with_notes(**notes)


def _exact(
    train: embeddings.Embeddings, heldout: embeddings.Embeddings
) -> tuple[np.ndarray, dict[str, Any]]:
  """Returns the costs [n] of an optimal plan, by the network simplex method."""
  try:
    # Otherwise it imports every framework that is installed.
    for framework in ("PYTORCH", "TENSORFLOW", "CUPY", "JAX"):
      os.environ.setdefault(f"POT_BACKEND_DISABLE_{framework}", "1")
    import ot
  except ImportError as error:
    raise errors.InputError(
        "config.order.arrangement='transport' needs POT: pip install"
        " 'zsgen[orders]'."
    ) from error
  distances = np.empty((len(train), len(heldout)))
  for part, block in similarity.distances(train, heldout):
    distances[part] = block.T
  plan, log = ot.emd([], [], distances, numItermax=_MOST_PIVOTS, log=True)
  if log["warning"]:
    raise errors.InputError(
        f"config.order.arrangement='transport': no plan: {log['warning']} Set"
        " config.order.exact_pairs to 0 to use Sinkhorn's iteration."
    )
  costs = np.einsum("nm,nm->n", plan, distances) * len(train)
  return costs, dict(solver="network simplex", transport_cost=log["cost"])


def _sinkhorn(
    train: embeddings.Embeddings, heldout: embeddings.Embeddings, epsilon: float
) -> tuple[np.ndarray, dict[str, Any]]:
  """Costs [n] by ott-jax, with the plan never held whole."""
  try:
    from ott.geometry import costs, pointcloud
    from ott.problems.linear import linear_problem
    from ott.solvers.linear import sinkhorn
  except ImportError as error:
    raise errors.InputError(
        "config.order.arrangement='transport' needs ott-jax for"
        f" {len(train)} x {len(heldout)} pairs: pip install 'zsgen[orders]'."
    ) from error
  pairs = len(train) * len(heldout)
  total = sum(
      float(block.sum()) for _, block in similarity.distances(train, heldout)
  )
  weight = epsilon * total / pairs
  # Its annotations name JAX's arrays; it takes NumPy's as well.
  rows: Any = np.concatenate([block for _, block in train.blocks()])
  columns: Any = heldout.block(0, len(heldout))
  geometry = pointcloud.PointCloud(
      rows,
      columns,
      cost_fn=costs.Euclidean(),
      epsilon=weight,
      batch_size=None if pairs <= _MOST_PAIRS else 1024,
  )
  solver = sinkhorn.Sinkhorn(max_iterations=_ITERATIONS)
  plan_found = solver(linear_problem.LinearProblem(geometry))
  if not plan_found.converged:
    raise errors.InputError(
        "config.order.arrangement='transport': no plan after"
        f" {_ITERATIONS} iterations. Raise config.order.epsilon, {epsilon}."
    )
  row, column = (
      np.asarray(potential, np.float64)
      for potential in (plan_found.f, plan_found.g)
  )
  cost = np.empty(len(train))
  for part, block in similarity.distances(train, heldout):
    logs = (row[part] + column[:, None] - block) / weight
    plan = np.exp(logs - logs.max(axis=0))
    cost[part] = (plan * block).sum(axis=0) / plan.sum(axis=0)
  return cost, dict(solver="sinkhorn", transport_cost=float(cost.mean()))
