"""Which examples of a held-out set are evaluated, and what tasks make of it."""

from collections.abc import Mapping, Sequence

import numpy as np

from zsgen.core import errors
from zsgen.data import store as store_lib

# Of a set of more, each task's metrics would be most of what a run writes.
MOST_TASKS = 1000


def chosen(ids: np.ndarray, tasks: np.ndarray, most: int) -> np.ndarray:
  """A fixed choice of examples that keeps every task while there is room.

  Of each task the first, then of each the second, …, lowest ids first, until
  the number is reached.

  Args:
    ids: ascending, int64 [E].
    tasks: task of each, int [E].
    most: how many may be chosen; -1: all.

  Returns:
    The ids that are chosen, ascending.
  """
  if most < 0 or most >= len(ids):
    return ids
  by_task = np.argsort(tasks, kind="stable")
  _, firsts, counts = np.unique(
      tasks[by_task], return_index=True, return_counts=True
  )
  turn = np.empty(len(ids), np.int64)
  turn[by_task] = np.arange(len(ids)) - np.repeat(firsts, counts)
  return np.sort(ids[np.lexsort((ids, turn))[:most]])


def taken(
    split: str, most: int, store: store_lib.Store, without: str = ""
) -> tuple[np.ndarray, int]:
  """Ids of the examples that an evaluation takes, ascending, of how many.

  Args:
    split: the held-out set.
    most: how many of its examples to take; -1: all.
    store: has them.
    without: the kind of cut examples to leave out, see `Store.cut`; "" for
      none.

  Raises:
    InputError: there is no such set, or none of its examples is left.
  """
  known = store.split_ids(split)
  whole = known[~store.cut(known, without)] if without else known
  if not len(whole):
    raise errors.InputError(
        f"the held-out set {split!r}: all {len(known)} examples lost all"
        " or part of their last answer to config.data.max_length. Raise it."
    )
  ids = chosen(whole, store.task_index[whole], most)
  return ids, len(known)


def told(name: str, ids: np.ndarray, of: int, tasks: np.ndarray) -> str:
  """A line on a choice: "heldout: 200 of 595 examples, 119 tasks"."""
  count = len(np.unique(tasks))
  said = f"{name}: {len(ids)} of {of} examples, {count} tasks"
  if count <= MOST_TASKS:
    return said
  return (
      f"{said}; of more than {MOST_TASKS} tasks metrics are not written one by"
      f" one, evals/{name}/loss.npy has every example"
  )


def by_task(
    values: np.ndarray, tasks: np.ndarray, names: Sequence[str]
) -> dict[str, float]:
  """Mean of the values [E] of each task, by its name."""
  there, places, counts = np.unique(
      tasks, return_inverse=True, return_counts=True
  )
  means = np.bincount(places, weights=values) / counts
  return dict(zip((names[task] for task in there), means.tolist(), strict=True))


def metrics(tasks: Mapping[str, float], name: str, kind: str) -> dict:
  """Metrics of the tasks one by one; {} of more than `MOST_TASKS`.

  Args:
    tasks: a value for each.
    name: of the evaluation.
    kind: what the value is, such as "loss".
  """
  if len(tasks) > MOST_TASKS:
    return {}
  return {f"{name}/{task}/{kind}": value for task, value in tasks.items()}
