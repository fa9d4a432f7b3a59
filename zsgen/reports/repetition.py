"""Whether the seeds of an arm train on the same examples.

Seeds are repetitions of an experiment only as far as they vary what it depends
on. If the pool is all of a data set, an arrangement may select the same examples
with every seed; intervals over seeds are then narrow, and say nothing about
other data.
"""

from collections.abc import Mapping, Sequence
import itertools
from typing import Any, NamedTuple

import numpy as np

from zsgen.data import store as store_lib

_PARTS = 10
# A share from which on examples count as the same.
_MOST = 0.9


class Repetition(NamedTuple):
  """What the orders of all seeds have in common.

  Attributes:
    examples: share of the examples that all of them have.
    tenths: share that all of them have in the same tenth of the steps.
  """

  examples: float
  tenths: float


def measure(
    orders: Sequence[tuple[store_lib.Store, np.ndarray]],
) -> Repetition | None:
  """Compares the orders of an arm's seeds.

  Args:
    orders: store and ids, int64 [N], of each seed. Examples are the same if
      task, prompt and answer are.

  Returns:
    None for fewer than two seeds, or orders without examples.
  """
  if len(orders) < 2 or not all(len(ids) for _, ids in orders):
    return None
  tenths = [_tenths(store, ids) for store, ids in orders]
  # An order may have an example more than once.
  whole = [set().union(*parts) for parts in tenths]
  total = max(map(len, whole))
  shared = sum(
      len(set.intersection(*same_part))
      for same_part in zip(*tenths, strict=True)
  )
  return Repetition(len(set.intersection(*whole)) / total, shared / total)


def _tenths(store: store_lib.Store, ids: np.ndarray) -> list[set[int]]:
  """Returns hashes of the examples in each tenth of an order."""
  borders = [len(ids) * part // _PARTS for part in range(_PARTS + 1)]
  return [
      _hashes(store, ids[first:last])
      for first, last in itertools.pairwise(borders)
  ]


def _hashes(store: store_lib.Store, ids: np.ndarray) -> set[int]:
  """Returns hashes of task, prompt and answer, the same in this process."""
  tasks = (store.tasks[number] for number in store.task_index[ids])
  return set(map(hash, zip(tasks, store.texts(ids), strict=True)))


def describe(orders: Mapping[str, Mapping[str, Any]]) -> str:
  """Returns a sentence on arms whose seeds have the same examples, or "".

  Args:
    orders: by arm, with `repetition`, the JSON of `Repetition` or None.
  """
  repeated = [
      f"{label} ({values['repetition']['examples']:.0%};"
      f" {values['repetition']['tenths']:.0%} in the same tenth of the steps)"
      for label, values in orders.items()
      if values["repetition"] and values["repetition"]["examples"] >= _MOST
  ]
  if not repeated:
    return ""
  return (
      f"All seeds train on the same examples under {', '.join(repeated)}:"
      " intervals over seeds do not include the choice of these examples."
  )
