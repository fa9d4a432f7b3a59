"""Pools with given similarities, for tests of arrangements."""

import numpy as np
import scipy.sparse

from zsgen.orders import embeddings
from zsgen.orders import pool as pool_lib

# Spec 2.8b: similarity of 6 training points and 3 held-out points.
WORKED = np.array(
    [
        [0.9, 0.2, 0.1],
        [0.8, 0.7, 0.3],
        [0.9, 0.6, 0.2],
        [0.1, 0.7, 0.65],
        [0.3, 0.1, 0.6],
        [0.2, 0.4, 0.6],
    ],
    np.float32,
)


def embedded(vectors: np.ndarray) -> embeddings.Embeddings:
  """Returns vectors [n, D] as they are: sparse ones are not put on the grid."""
  return embeddings.Embeddings(
      scipy.sparse.csr_array(np.asarray(vectors, np.float32))
  )


def make(train: np.ndarray, heldout: np.ndarray | None = None, tasks=None):
  """Makes a pool; without `heldout`, `train` is the similarity [N, M]."""
  if heldout is None:
    heldout = np.eye(np.shape(train)[1])
  if tasks is None:
    tasks = np.zeros(len(train), np.int32)
  return pool_lib.Pool(
      np.asarray(tasks, np.int32),
      train=embedded(train),
      heldout=embedded(heldout),
  )


def tied(case: int, limits: tuple[int, int] = (300, 20)):
  """Returns small integers with many ties: train [N, D], held-out [M, D]."""
  rng = np.random.default_rng(case)
  size, heldout, width = rng.integers((1, 1, 1), (*limits, 6))
  shapes = ((size, width), (heldout, width))
  return [rng.integers(-2, 3, shape).astype(np.float32) for shape in shapes]
