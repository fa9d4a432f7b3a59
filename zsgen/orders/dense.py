"""Dense vectors that are read block by block, and the file that has them.

Vectors of millions of texts may not fit into memory.
"""

from collections.abc import Callable, Iterator
import dataclasses
import pathlib

import numpy as np

# Rows of a block.
_ROWS = 8192


@dataclasses.dataclass(frozen=True)
class Blocks:
  """Vectors, [N, D].

  Attributes:
    shape: (N, D).
    dtype: of the vectors.
    read: yields them in blocks [n, D], always the same ones.
  """

  shape: tuple[int, int]
  dtype: np.dtype
  read: Callable[[], Iterator[np.ndarray]]


def split(vectors: np.ndarray) -> Blocks:
  """Returns the blocks of an array [N, D]."""

  def read() -> Iterator[np.ndarray]:
    """Yields blocks [n, D] that are views of the array."""
    for first in range(0, len(vectors), _ROWS):
      yield vectors[first : first + _ROWS]

  return Blocks((len(vectors), vectors.shape[1]), vectors.dtype, read)


def join(blocks: Blocks) -> np.ndarray:
  """Returns the vectors as an array, [N, D]."""
  return np.concatenate([*blocks.read()])


def norms(blocks: Blocks) -> np.ndarray:
  """Returns the length of each vector, [N], in the dtype of the vectors."""
  squares = [(block * block).sum(axis=1) for block in blocks.read()]
  return np.sqrt(np.concatenate(squares))


def divide(blocks: Blocks, divisors: np.ndarray) -> Blocks:
  """Returns the vectors divided by numbers, [N]."""

  def read() -> Iterator[np.ndarray]:
    """Yields the blocks [n, D], each row divided by its number."""
    first = 0
    for block in blocks.read():
      yield block / divisors[first : first + len(block), None]
      first += len(block)

  return dataclasses.replace(blocks, read=read)


def write(path: pathlib.Path, blocks: Blocks) -> None:
  """Writes vectors as `np.save` writes an array of them."""
  header = {
      "descr": np.lib.format.dtype_to_descr(blocks.dtype),
      "fortran_order": False,
      "shape": blocks.shape,
  }
  with open(path, "wb") as file:
    np.lib.format.write_array_header_1_0(file, header)
    for block in blocks.read():
      file.write(np.ascontiguousarray(block).data)
