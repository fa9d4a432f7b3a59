"""Rows sorted by a measure, as far as it goes, or shuffled."""

import numpy as np

from zsgen.orders.arrangements import arranged


def ranked(
    rows: np.ndarray,
    keys: np.ndarray,
    pick: str,
    seed: int,
    as_released: bool = False,
) -> arranged.Arranged:
  """Sorts rows; ties go to the lowest row (2406.11721, spec E4).

  Args:
    rows: rows of the pool, in passes, int64 [n].
    keys: how far each is from the held-out set, float [n].
    pick: what comes first: "nearest", "farthest", or "random" rows, which is
      the sequence of the arrangement `random`.
    seed: of the shuffle.
    as_released: "farthest" is the reverse of "nearest", ties too, and
      "random" shuffles that as pandas' `sample(frac=1, random_state=seed)`.
  """
  if as_released:
    ranking = np.lexsort((rows, keys))
    if pick == "farthest":
      ranking = ranking[::-1]
    elif pick == "random":
      ranking = ranking[np.random.RandomState(seed).permutation(len(rows))]
  elif pick == "random":
    ranking = arranged.permutation("random", seed, len(rows))
  else:
    ranking = np.lexsort((rows, -keys if pick == "farthest" else keys))
  return arranged.from_rows(rows[ranking], distances=keys[ranking])
