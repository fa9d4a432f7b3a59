"""Arrangements by name: from a pool and a budget to a sequence of rows.

An arrangement is a pure function of the pool's tasks and embeddings, the
held-out set's embeddings, and, as keyword-only arguments, those fields of
`config.Order` that it reads and the seed if it draws.
"""

from collections.abc import Callable
import inspect
from typing import Any

import numpy as np

from zsgen import config, errors
from zsgen.orders import embeddings
from zsgen.orders.arrangements import (
    arranged,
    cluster,
    random,
    round_robin,
    tmt,
)

ARRANGEMENTS: dict[str, Callable[..., arranged.Arranged]] = {
    "cluster": cluster.arrange,
    "random": random.arrange,
    "round_robin": round_robin.arrange,
    "tmt": tmt.arrange,
}


def arrange(
    order: config.Order,
    tasks: np.ndarray,
    train: embeddings.Embeddings | None,
    heldout: embeddings.Embeddings | None,
    seed: int,
) -> arranged.Arranged:
  """Arranges `order.budget` rows of a pool.

  Args:
    order: the arrangement's name and parameters.
    tasks: task of each row of the pool, int32 [N].
    train: embeddings of the pool, [N, D]; None if the order has no embedder.
    heldout: embeddings of the held-out set, [M, D], or None.
    seed: of all that is drawn.

  Raises:
    InputError: as `check`, or the arrangement lacks what it needs.
  """
  check(order, len(tasks))
  known = parameters(order)
  if "seed" in _reads(order.arrangement):
    known["seed"] = seed
  return ARRANGEMENTS[order.arrangement](tasks, train, heldout, **known)


def check(order: config.Order, pool: int) -> None:
  """Raises InputError if a pool of that size cannot be arranged."""
  _reads(order.arrangement)
  if order.budget > pool:
    raise errors.InputError(
        f"config.order.budget is {order.budget}, but the pool has {pool}"
        " training examples. Lower the budget, or raise"
        " config.data.train_instances if the tasks have more."
    )


def parameters(order: config.Order) -> dict[str, Any]:
  """The fields of `order` that its arrangement reads, without the seed.

  Raises:
    InputError: there is no such arrangement.
  """
  names = [name for name in _reads(order.arrangement) if name != "seed"]
  return {name: getattr(order, name) for name in names}


def _reads(arrangement: str) -> list[str]:
  """Names of an arrangement's keyword-only arguments."""
  function = errors.choose(
      ARRANGEMENTS, arrangement, "config.order.arrangement"
  )
  arguments = inspect.signature(function).parameters.values()
  return [a.name for a in arguments if a.kind is a.KEYWORD_ONLY]
