"""Sparse matrices with the types that scipy does not declare."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import scipy.sparse


def shape_of(matrix: scipy.sparse.csr_array | np.ndarray) -> tuple[int, int]:
  """Returns the numbers of rows and columns."""
  shape: Any = matrix.shape
  return shape


def stack(parts: Sequence[scipy.sparse.csr_array]) -> scipy.sparse.csr_array:
  """Returns the rows of all parts, one part after another."""
  return cast(scipy.sparse.csr_array, scipy.sparse.vstack(parts, format="csr"))
