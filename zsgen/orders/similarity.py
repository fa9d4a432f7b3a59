"""Similarity of a pool to a held-out set, in blocks.

Blocks split only the training axis and are padded to the same size, because
splitting the held-out axis or changing shapes may change float sums. (Sums for
vectors on the grid are always exact.)
"""

from collections.abc import Iterator
from concurrent import futures

import numpy as np
import threadpoolctl

from zsgen.data import ahead
from zsgen.orders import embeddings, multiplication

# Number of products of a block, which fit into the cache of a core.
_PRODUCTS = 2**20
# Number of components of the training vectors of a block: 64 MB.
_NUMBERS = 2**24


def blocks(
    train: embeddings.Embeddings, heldout: embeddings.Embeddings
) -> Iterator[tuple[slice, np.ndarray]]:
  """Yields similarities, a block of training rows at a time.

  The next blocks are computed in threads while the caller uses the current one.

  Args:
    train: unit vectors [N, D].
    heldout: unit vectors [M, D].

  Yields:
    The slice of training rows and their dot products, float32 [M, rows].
  """
  heldout_vectors = heldout.block(0, len(heldout))
  scales = train.scales
  if scales is not None and train.index is not None:
    scales = scales[train.index]
  size = block_size(len(heldout), train.dim)
  multiply, threads = multiplication.make(heldout_vectors, len(train), size)

  def compute(start: int) -> tuple[slice, np.ndarray]:
    """Returns the rows of the block at `start`, and their products."""
    rows = slice(start, min(start + size, len(train)))
    products = multiply(train.block(rows.start, rows.stop))
    if scales is not None:
      products = products * scales[rows]
    return rows, products

  starts = range(0, len(train), size)
  with (
      threadpoolctl.threadpool_limits(1 if threads > 1 else None, "blas"),
      futures.ThreadPoolExecutor(threads) as pool,
  ):
    yield from ahead.results(pool, compute, starts, threads)


def block_size(examples: int, dim: int) -> int:
  """Returns the training rows per block, for M held-out vectors of length D."""
  return max(256, min(_PRODUCTS // examples, _NUMBERS // dim, 4096))


def nearest_similarity(
    train: embeddings.Embeddings, heldout: embeddings.Embeddings
) -> np.ndarray:
  """Returns the largest similarity of each training row, float32 [N]."""
  nearest = np.empty(len(train), np.float32)
  for rows, block in blocks(train, heldout):
    nearest[rows] = block.max(axis=0)
  return nearest


def distances(
    train: embeddings.Embeddings, heldout: embeddings.Embeddings
) -> Iterator[tuple[slice, np.ndarray]]:
  """Yields Euclidean distances, a block of training rows at a time.

  Yields:
    The slice of training rows and their distances, float64 [M, rows].
  """
  train_squares, heldout_squares = squares(train), squares(heldout)[:, None]
  for rows, products in blocks(train, heldout):
    squared = train_squares[rows] + heldout_squares - 2.0 * products
    yield rows, np.sqrt(np.maximum(squared, 0))


def squares(vectors: embeddings.Embeddings) -> np.ndarray:
  """Returns the squared length of each vector, float64 [n]."""
  float_blocks = (block.astype(np.float64) for _, block in vectors.blocks())
  return np.concatenate(
      [np.einsum("nd,nd->n", block, block) for block in float_blocks]
  )
