"""Cosine similarity of a pool to a held-out set, in blocks.

Blocks split the training axis only and are padded to one size: splitting the
held-out axis, or products of other shapes, may change float sums. (Those of
n-gram vectors are exact in any case.)
"""

from collections.abc import Iterator

import numpy as np

from zsgen.orders import embeddings

# Training rows a block: 64 MB of n-gram vectors.
_BLOCK = 4096


def blocks(
    train: embeddings.Embeddings, heldout: embeddings.Embeddings
) -> Iterator[tuple[slice, np.ndarray]]:
  """Similarity, a block of training rows at a time.

  Args:
    train: unit vectors [N, D].
    heldout: unit vectors [M, D].

  Yields:
    Which training rows, and their dot products, float32 [M, rows].
  """
  looked_at = heldout.block(0, len(heldout))
  padded = np.zeros((_BLOCK, train.dim), np.float32)
  for start in range(0, len(train), _BLOCK):
    stop = min(start + _BLOCK, len(train))
    padded[: stop - start] = train.block(start, stop)
    yield slice(start, stop), (looked_at @ padded.T)[:, : stop - start]


def matrix(
    train: embeddings.Embeddings, heldout: embeddings.Embeddings
) -> np.ndarray:
  """Similarity of every pair, float32 [M, N]: held-out x training."""
  whole = np.empty((len(heldout), len(train)), np.float32)
  for rows, block in blocks(train, heldout):
    whole[:, rows] = block
  return whole


def nearest_similarity(
    train: embeddings.Embeddings, heldout: embeddings.Embeddings
) -> np.ndarray:
  """Largest similarity of each training row to the set, float32 [N]."""
  nearest = np.empty(len(train), np.float32)
  for rows, block in blocks(train, heldout):
    nearest[rows] = block.max(axis=0)
  return nearest
