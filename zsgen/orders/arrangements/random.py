"""Random: the shared examples, shuffled."""

import random as python_random

import numpy as np

from zsgen.core import registry
from zsgen.orders import pool as pool_lib
from zsgen.orders.arrangements import arranged, multiset


@registry.arrangement("random", options=multiset.Options)
def random(
    pool: pool_lib.Pool, options: multiset.Options, seed: int
) -> arranged.Arranged:
  """Shuffles the examples of `multiset.passes` (2406.11721, spec 2.2).

  A draw from the whole pool would be another set of examples; against
  round_robin and cluster it is the sequence alone that should differ.

  Args:
    pool: the rows, [N].
    options: `as_released` is Python's `random.shuffle` under the seed, of the
      rows as `cluster` has them.
    seed: of the shuffle.
  """
  rows, _ = multiset.passes(pool.tasks, options.budget, options.per_task)
  if not options.as_released:
    return arranged.from_rows(
        rows[arranged.permutation("random", seed, len(rows))]
    )
  clustered = rows[np.argsort(pool.tasks[rows], kind="stable")].tolist()
  python_random.Random(seed).shuffle(clustered)
  return arranged.from_rows(np.array(clustered, np.int64))
