"""Similarity: the shared examples, nearest (farthest) first by a measure."""

import numpy as np

from zsgen.orders import embeddings, measures
from zsgen.orders import pool as pool_lib
from zsgen.orders.arrangements import arranged, multiset, ranked


def arrange(
    pool: pool_lib.Pool,
    *,
    budget: int,
    per_task: int,
    measure: str,
    granularity: str,
    pick: str,
    as_released: bool,
    seed: int,
) -> arranged.Arranged:
  """Sorts the shared examples by their distance to the held-out set.

  The set is that of `random`: nearest, farthest and random differ in sequence
  alone (2406.11721, spec E4). By task (spec E5), it is the task's mean
  embedding that is measured, tasks are sorted, and examples keep the suite's
  order inside a task.

  Args:
    pool: the rows with embeddings, [N].
    budget: rows in the order; -1: all.
    per_task: most rows of one task; -1: no limit.
    measure: a name in `zsgen.orders.measures`.
    granularity: "instance" or "task".
    pick: what comes first: "nearest", "farthest" or "random" rows.
    as_released: see `ranked.ranked`.
    seed: of the shuffle.

  Returns:
    The order; a row's distance is the measure.
  """
  rows, _ = multiset.passes(pool.tasks, budget, per_task)
  if granularity == "instance":
    keys, notes = measures.measure(measure, pool.take(rows))
    found = ranked.ranked(rows, keys, pick, seed, as_released)
    return found.telling(**notes)
  tasks, groups = np.unique(pool.tasks[rows], return_inverse=True)
  keys, notes = measures.measure(measure, _task_pool(pool, rows, groups))
  sequence = ranked.ranked(tasks, keys, pick, seed, as_released)
  place = np.empty(len(tasks), np.int64)
  place[np.searchsorted(tasks, sequence.rows)] = np.arange(len(tasks))
  order = np.argsort(place[groups], kind="stable")
  found = arranged.of(rows[order], distances=keys[groups][order])
  return found.telling(**notes)


def _task_pool(
    pool: pool_lib.Pool, rows: np.ndarray, groups: np.ndarray
) -> pool_lib.Pool:
  """A pool with a row a task: the mean of its rows, of unit length."""
  train, heldout = pool.embedded()
  sums = np.zeros((groups.max() + 1, train.dim))
  for part, block in train.take(rows).blocks():
    np.add.at(sums, groups[part], block)
  means = sums / np.linalg.norm(sums, axis=1, keepdims=True)
  return pool_lib.Pool(
      np.arange(len(means)),
      train=embeddings.Embeddings(means.astype(np.float32)),
      heldout=heldout,
  )
