"""The examples that random, round_robin and cluster share."""

import numpy as np


def passes(tasks: np.ndarray, budget: int) -> tuple[np.ndarray, np.ndarray]:
  """The first `budget` rows, taken one a task, pass by pass.

  Each task gives its first rows (the store has drawn them by seed): budget /
  tasks of them, one more of the first tasks where that leaves a remainder. A
  task with fewer gives all it has, and later passes make up for it.

  Args:
    tasks: task of each row of the pool, int [N].
    budget: rows to take, at most N.

  Returns:
    Rows in passes over the tasks in key order (int64 [budget]; 2406.11721,
    spec 2.2), and the pass of each, from 1 (int64 [budget]).
  """
  by_task = np.argsort(tasks, kind="stable")
  _, first, counts = np.unique(
      tasks[by_task], return_index=True, return_counts=True
  )
  number = np.empty(len(tasks), np.int64)
  number[by_task] = np.arange(len(tasks)) - np.repeat(first, counts) + 1
  rows = np.lexsort((tasks, number))[:budget]
  return rows, number[rows]
