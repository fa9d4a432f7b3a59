"""The chunks that texts are embedded in, whoever embeds them.

A chunk is SIZE consecutive texts, and a file in a directory that processes may
share (`parts`). Its batches do not depend on other chunks.
"""

import abc
from collections.abc import Callable, Iterator, Sequence
import dataclasses
import math
import pathlib
from typing import Any

from zsgen.core import errors
from zsgen.orders.embedders import encoded, parts

# The texts of a chunk; the last one has the rest.
SIZE = 8192
# Returns the texts of consecutive rows.
ReadTexts = Callable[[range], list[str]]


@dataclasses.dataclass(frozen=True)
class Chunks:
  """The chunks of N vectors.

  Attributes:
    folder: has their files.
    count: the number of vectors, N.
    width: the length of a vector.
    owner: what they belong to, if the folder does not say it.
  """

  folder: pathlib.Path
  count: int
  width: int
  owner: str = ""

  def __len__(self) -> int:
    return math.ceil(self.count / SIZE)

  def rows(self, number: int) -> range:
    """Returns the rows of a chunk."""
    return range(number * SIZE, min((number + 1) * SIZE, self.count))

  def path(self, number: int) -> pathlib.Path:
    """Returns the file of a chunk."""
    return parts.chunk_path(self.folder, number)

  def missing(self) -> list[int]:
    """Returns the numbers of the chunks that have no file."""
    present = {path.name for path in self.folder.glob("chunk-*")}
    return [n for n in range(len(self)) if self.path(n).name not in present]

  def read(self, number: int) -> encoded.Encoded | None:
    """Returns a chunk; None if it is missing or damaged."""
    return parts.read_chunk(self.path(number), self._shape(number), self.owner)

  def begin(self, number: int) -> parts.Chunk:
    """Returns a chunk that is to be embedded, with what exists of it."""
    return parts.Chunk(self.path(number), self._shape(number), self.owner)

  def read_all(self, advice: str) -> Iterator[encoded.Encoded]:
    """Yields all chunks, in their order.

    Args:
      advice: what to do if one is missing or damaged.

    Raises:
      InputError: a chunk is missing or damaged.
    """
    for number in range(len(self)):
      chunk = self.read(number)
      if chunk is None:
        raise errors.InputError(
            f"{self.path(number)}: is missing or damaged. {advice}"
        )
      yield chunk

  def _shape(self, number: int) -> tuple[int, int]:
    return len(self.rows(number)), self.width


class ChunkEmbedder(abc.ABC):
  """An embedder whose vector of a text depends on no other text."""

  @property
  @abc.abstractmethod
  def width(self) -> int:
    """The length of a vector."""

  @abc.abstractmethod
  def parameters(self) -> dict[str, Any]:
    """Returns all that determines its vectors, as JSON values."""

  @abc.abstractmethod
  def embed_chunks(
      self,
      chunks: Chunks,
      numbers: Sequence[int],
      read: ReadTexts,
      log: Callable[[str], None],
  ) -> None:
    """Embeds those of some chunks that are missing or damaged.

    Args:
      chunks: of the vectors of these `parameters`.
      numbers: of chunks, ascending.
      read: reads the texts of chunks, in their order.
      log: is called with lines about the progress.

    Raises:
      InputError: a text cannot be embedded.
    """
