"""Rows sorted by a measure, as far as it goes, or shuffled."""

import numpy as np

from zsgen.orders.arrangements import arranged


def rank(
    rows: np.ndarray, keys: np.ndarray, is_descending: bool = False
) -> np.ndarray:
  """Returns the indices that sort rows by their keys; ties to the lowest row.

  Args:
    rows: rows of the pool, int64 [n].
    keys: what they are sorted by, float [n].
    is_descending: whether the highest key comes first.
  """
  return np.lexsort((rows, -keys if is_descending else keys))


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
    ranking = rank(rows, keys)
    if pick == "farthest":
      ranking = ranking[::-1]
    elif pick == "random":
      ranking = ranking[np.random.RandomState(seed).permutation(len(rows))]
  elif pick == "random":
    ranking = arranged.permutation("random", seed, len(rows))
  else:
    ranking = rank(rows, keys, pick == "farthest")
  return arranged.from_rows(rows[ranking], distances=keys[ranking])
