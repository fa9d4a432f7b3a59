"""Cluster: task by task."""

import numpy as np

from zsgen.orders import embeddings
from zsgen.orders.arrangements import arranged, multiset


def arrange(
    tasks: np.ndarray,
    train: embeddings.Embeddings | None,
    heldout: embeddings.Embeddings | None,
    *,
    budget: int,
    seed: int,
) -> arranged.Arranged:
  """The shared examples, task by task (2406.11721, spec 2.2).

  The paper takes tasks in the order of its key list; here the seed shuffles
  them, so that several seeds tell the effect of clusters from that of a list.

  Args:
    tasks: task of each row of the pool, int32 [N].
    train: unused.
    heldout: unused.
    budget: rows in the order.
    seed: of the sequence of tasks.
  """
  del train, heldout
  rows, passes = multiset.passes(tasks, budget)
  turn = arranged.permutation("cluster", seed, int(tasks.max()) + 1)
  return arranged.unrated(rows[np.lexsort((passes, turn[tasks[rows]]))])
