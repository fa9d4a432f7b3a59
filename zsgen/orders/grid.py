"""The grid, which makes orders the same bytes on every machine.

Each component of a unit vector is truncated toward zero to a multiple of
2**-12. A dot product of two such vectors is then 2**-24 times a sum of
integers, and by Cauchy-Schwarz neither the sum nor any part of it exceeds
2**24: float32 holds it exactly, whatever the BLAS, the blocking, fused
multiply-adds or the number of threads. (TF32 and bfloat16 products are not
exact: their inputs have fewer bits.) Truncation costs about 0.2% of the norm of
an n-gram vector, and moves the cosine of two sentence vectors by about 1e-4.
"""

import numpy as np

# Components are multiples of 1 / CELLS.
CELLS = 2**12


def snap(vectors: np.ndarray) -> np.ndarray:
  """Snaps vectors of norm at most 1 to the grid; float32, same shape."""
  cells = vectors * np.float32(CELLS)
  np.trunc(cells, out=cells)
  # In place if possible: new memory costs more than the arithmetic.
  out = cells if cells.dtype == np.float32 else None
  return np.multiply(cells, np.float32(1 / CELLS), out=out, dtype=np.float32)
