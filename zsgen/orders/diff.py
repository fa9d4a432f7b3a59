"""Measures how two orders differ."""

from typing import Any

import numpy as np


def compare(first: np.ndarray, second: np.ndarray) -> dict[str, Any]:
  """Compares two orders of the same store.

  Args:
    first: example ids, int64 [n], n > 0.
    second: example ids, int64 [m], m > 0.

  Returns:
    A dictionary of
      shared: number of distinct ids in both.
      jaccard: shared / number of distinct ids in either.
      rank_correlation: Spearman's, over the first positions of shared ids;
        None for fewer than two.
      first_difference: the first position where they differ or one of them
        ends; None if they are equal.
      prefix_overlap: the share of ids in the first tenth of both, where a tenth
        is that of the shorter order.
  """
  ids_a, at_a = np.unique(first, return_index=True)
  ids_b, at_b = np.unique(second, return_index=True)
  shared, in_a, in_b = np.intersect1d(
      ids_a, ids_b, assume_unique=True, return_indices=True
  )
  tenth = -(-min(len(first), len(second)) // 10)
  early = np.intersect1d(first[:tenth], second[:tenth])
  return dict(
      shared=len(shared),
      jaccard=len(shared) / (len(ids_a) + len(ids_b) - len(shared)),
      rank_correlation=_spearman(at_a[in_a], at_b[in_b]),
      first_difference=_first_difference(first, second),
      prefix_overlap=len(early) / tenth,
  )


def _spearman(first: np.ndarray, second: np.ndarray) -> float | None:
  """Returns the rank correlation of two lists without ties."""
  if len(first) < 2:
    return None
  ranks = [np.argsort(np.argsort(values)) for values in (first, second)]
  return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _first_difference(first: np.ndarray, second: np.ndarray) -> int | None:
  """Returns the first position that differs; None if all are equal."""
  length = min(len(first), len(second))
  differ = np.flatnonzero(first[:length] != second[:length])
  if len(differ):
    return int(differ[0])
  return None if len(first) == len(second) else length
