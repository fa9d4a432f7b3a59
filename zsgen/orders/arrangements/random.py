"""Random: the shared examples, shuffled."""

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
  """Shuffles the examples of `multiset.passes` (2406.11721, spec 2.2).

  A draw from the whole pool would be another set of examples; against
  round_robin and cluster it is the sequence alone that should differ.

  Args:
    tasks: task of each row of the pool, int32 [N].
    train: unused.
    heldout: unused.
    budget: rows in the order.
    seed: of the shuffle.
  """
  del train, heldout
  rows, _ = multiset.passes(tasks, budget)
  return arranged.unrated(rows[arranged.permutation("random", seed, len(rows))])
