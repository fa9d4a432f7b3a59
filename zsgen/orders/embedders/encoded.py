"""What an embedder returns."""

from typing import NamedTuple

import numpy as np
import scipy.sparse


class Encoded(NamedTuple):
  """Vectors of texts.

  Attributes:
    vectors: float32 [N, D]; sparse ones lie on the grid.
    cut: texts that were longer than the embedder takes, and lost their end.
  """

  vectors: np.ndarray | scipy.sparse.csr_array
  cut: int = 0
