"""The result of an embedder."""

from typing import NamedTuple

import numpy as np
import scipy.sparse


class Encoded(NamedTuple):
  """Vectors of texts.

  Attributes:
    vectors: float32 [N, D]; sparse ones are on the grid.
    cut: number of texts that were too long for the embedder and were cut.
  """

  vectors: np.ndarray | scipy.sparse.csr_array
  cut: int = 0
