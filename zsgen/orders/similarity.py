"""Similarity of a pool to a held-out set, in blocks.

Blocks split the training axis only and are padded to one size: splitting the
held-out axis, or products of other shapes, may change float sums. (Those of
vectors on the grid are exact in any case.)
"""

from collections.abc import Iterator

import numpy as np

from zsgen.orders import embeddings

# Products of a block: what a core's cache holds.
_PRODUCTS = 2**20
# Numbers of training vectors of a block: 64 MB.
_NUMBERS = 2**24


def blocks(
    train: embeddings.Embeddings, heldout: embeddings.Embeddings
) -> Iterator[tuple[slice, np.ndarray]]:
  """Similarity, a block of training rows at a time.

  Args:
    train: unit vectors [N, D].
    heldout: unit vectors [M, D].

  Yields:
    Which training rows, and their dot products, float32 [M, rows]; the next
    block overwrites them.
  """
  looked_at = heldout.block(0, len(heldout))
  size = block_size(len(heldout), train.dim)
  padded = np.zeros((size, train.dim), np.float32)
  products = np.empty((len(heldout), size), np.float32)
  for start in range(0, len(train), size):
    stop = min(start + size, len(train))
    block = train.block(start, stop)
    if len(block) < size:
      padded[: len(block)] = block
      block = padded
    np.matmul(looked_at, block.T, out=products)
    yield slice(start, stop), products[:, : stop - start]


def block_size(examples: int, dim: int) -> int:
  """Training rows a block, for M held-out examples and vectors of length D."""
  return max(256, min(_PRODUCTS // examples, _NUMBERS // dim, 4096))


def nearest_similarity(
    train: embeddings.Embeddings, heldout: embeddings.Embeddings
) -> np.ndarray:
  """Largest similarity of each training row to the set, float32 [N]."""
  nearest = np.empty(len(train), np.float32)
  for rows, block in blocks(train, heldout):
    nearest[rows] = block.max(axis=0)
  return nearest


def distances(
    train: embeddings.Embeddings, heldout: embeddings.Embeddings
) -> Iterator[tuple[slice, np.ndarray]]:
  """Euclidean distance, a block of training rows at a time.

  Yields:
    Which training rows, and float64 [M, rows].
  """
  own, theirs = squares(train), squares(heldout)[:, None]
  for rows, products in blocks(train, heldout):
    squared = own[rows] + theirs - 2.0 * products
    yield rows, np.sqrt(np.maximum(squared, 0))


def squares(vectors: embeddings.Embeddings) -> np.ndarray:
  """Squared length of each vector, float64 [n]."""
  found = (block.astype(np.float64) for _, block in vectors.blocks())
  return np.concatenate([np.einsum("nd,nd->n", each, each) for each in found])
