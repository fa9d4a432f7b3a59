"""Equal values of an array, numbered in their sequence."""

import numpy as np


def count_earlier(values: np.ndarray) -> np.ndarray:
  """Returns how often the value of each element occurs before it, int64 [n]."""
  by_value = np.argsort(values, kind="stable")
  _, firsts, counts = np.unique(
      values[by_value], return_index=True, return_counts=True
  )
  earlier = np.empty(len(values), np.int64)
  earlier[by_value] = np.arange(len(values)) - np.repeat(firsts, counts)
  return earlier
