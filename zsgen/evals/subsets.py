"""Which examples of a held-out set are evaluated, and what tasks make of it."""

from collections.abc import Sequence

import numpy as np


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


def told(name: str, ids: np.ndarray, of: int, tasks: np.ndarray) -> str:
  """A line on a choice: "heldout: 200 of 595 examples, 119 tasks"."""
  return f"{name}: {len(ids)} of {of} examples, {len(np.unique(tasks))} tasks"


def by_task(
    values: np.ndarray, tasks: np.ndarray, names: Sequence[str]
) -> dict[str, float]:
  """Mean of the values [E] of each task, by its name."""
  return {
      names[task]: float(values[tasks == task].mean())
      for task in np.unique(tasks)
  }
