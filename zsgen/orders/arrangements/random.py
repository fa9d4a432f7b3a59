"""Random: the shared examples, shuffled."""

import random

import numpy as np

from zsgen.orders import pool as pool_lib
from zsgen.orders.arrangements import arranged, multiset


def arrange(
    pool: pool_lib.Pool,
    *,
    budget: int,
    per_task: int,
    as_released: bool,
    seed: int,
) -> arranged.Arranged:
  """Shuffles the examples of `multiset.passes` (2406.11721, spec 2.2).

  A draw from the whole pool would be another set of examples; against
  round_robin and cluster it is the sequence alone that should differ.

  Args:
    pool: the rows, [N].
    budget: rows in the order; -1: all.
    per_task: most rows of one task; -1: no limit.
    as_released: Python's `random.shuffle` under the seed, of the rows as
      `cluster` has them.
    seed: of the shuffle.
  """
  rows, _ = multiset.passes(pool.tasks, budget, per_task)
  if not as_released:
    return arranged.of(rows[arranged.permutation("random", seed, len(rows))])
  clustered = rows[np.argsort(pool.tasks[rows], kind="stable")].tolist()
  random.Random(seed).shuffle(clustered)
  return arranged.of(np.array(clustered, np.int64))
