"""Maps files, and checks each block when it is first read.

A random order reads all of a store, a few rows at a time. Hashing 50 GB in
advance takes a minute; without a check, one flipped bit is trained on. So a
store has a table with the CRC-32 of each block of 64 KiB of each file, and a
process checks each block once, when it first reads it. (`zsgen.verify` checks
the SHA-256 of whole files.)
"""

from collections.abc import Iterator, Mapping
import functools
import hashlib
import io
import pathlib
from typing import Any, NamedTuple
import zlib

import numpy as np

from zsgen.core import errors
from zsgen.data import ahead

# Bytes of a block.
SIZE = 1 << 16


class BlockFile:
  """A memory-mapped file of numbers that is checked block by block."""

  def __init__(
      self,
      root: pathlib.Path,
      name: str,
      sums: np.ndarray,
      dtype: type[np.generic],
  ):
    """Maps a file.

    Args:
      root: the store's directory.
      name: the name of the file in it.
      sums: CRC-32 of each block, uint32 [blocks]; the last may be short.
      dtype: the dtype of the file's numbers.
    """
    self._root = root
    self._name = name
    self._sums = sums
    empty = not (root / name).stat().st_size
    mapped = np.memmap(root / name, np.uint8, "r") if not empty else b""
    # A plain view of the map: slices of a memmap cost ten times as much.
    self._bytes = np.frombuffer(mapped, np.uint8)
    self._values = self._bytes.view(dtype)
    # Numbers of a block, as a power of two.
    self._shift = (SIZE // self._values.itemsize).bit_length() - 1
    # 1 for each block that is still to be checked.
    self._due = bytearray(b"\1") * len(sums)

  def __len__(self) -> int:
    return len(self._values)

  def read(self, begin: int, end: int) -> np.ndarray:
    """Returns numbers `begin` to `end` of the file, as a view.

    Raises:
      InputError: a block is damaged.
    """
    first, stop = begin >> self._shift, (end - 1 >> self._shift) + 1
    if self._due.find(1, first, stop) >= 0:
      self._check(first, stop)
    return self._values[begin:end]

  def read_all(self) -> np.ndarray:
    """Returns all numbers of the file; raises as `read`."""
    return self.read(0, len(self))

  def damaged(self) -> list[int]:
    """Returns the numbers of all damaged blocks, ascending."""
    return [i for i in range(len(self._sums)) if not self._holds(i)]

  def describe(self, block: int) -> str:
    """Returns the number and the bytes of a block, for messages."""
    begin = block * SIZE
    end = min(begin + SIZE, len(self._bytes))
    return f"block {block} (bytes {begin:,} to {end:,})"

  def _check(self, first: int, stop: int) -> None:
    """Checks the blocks of a range that have not been checked yet."""
    for block in range(first, stop):
      if self._due[block] and not self._holds(block):
        raise errors.InputError(
            f"{self._root / self._name}: {self.describe(block)} is damaged:"
            " it does not match its checksum. Delete"
            f" {self._root} to have the store made again."
        )
      self._due[block] = 0

  def _holds(self, block: int) -> bool:
    content = self._bytes[block * SIZE : (block + 1) * SIZE]
    return zlib.crc32(content.data) == self._sums[block]


class Stream(io.RawIOBase):
  """A `BlockFile` of bytes, for readers of streams."""

  def __init__(self, file: BlockFile):
    super().__init__()
    self._file = file
    self._position = 0

  def readable(self) -> bool:
    """Returns True."""
    return True

  def seekable(self) -> bool:
    """Returns True."""
    return True

  def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
    """Moves to a byte; returns its position."""
    begins = {io.SEEK_SET: 0, io.SEEK_CUR: self._position}
    self._position = begins.get(whence, len(self._file)) + offset
    return self._position

  def tell(self) -> int:
    """Returns the position of the next byte."""
    return self._position

  def readinto(self, buffer: Any) -> int:
    """Fills a buffer; raises InputError for a damaged block."""
    end = min(self._position + len(buffer), len(self._file))
    content = self._file.read(self._position, end)
    buffer[: len(content)] = content.data
    self._position = end
    return len(content)


class Measured(NamedTuple):
  """The checksums of a file.

  Attributes:
    digest: SHA-256 (hex) of all of it.
    sums: CRC-32 of each block.
  """

  digest: str
  sums: list[int]


class _Meter:
  """Computes the checksums of bytes that come one after another."""

  def __init__(self):
    self._sha = hashlib.sha256()
    self._sums: list[int] = []
    # Bytes of the last block.
    self._filled = SIZE

  def add(self, content: memoryview) -> None:
    """Adds bytes."""
    self._sha.update(content)
    begin = 0
    while begin < len(content):
      if self._filled == SIZE:
        self._sums.append(0)
        self._filled = 0
      part = content[begin : begin + SIZE - self._filled]
      self._sums[-1] = zlib.crc32(part, self._sums[-1])
      self._filled += len(part)
      begin += len(part)

  def result(self) -> Measured:
    """Returns the checksums of all bytes."""
    return Measured(self._sha.hexdigest(), self._sums)


class MeasuredWriter(io.RawIOBase):
  """Writes and measures a file in a thread, so that it is not read again."""

  def __init__(self, path: pathlib.Path):
    """Creates the file."""
    super().__init__()
    self._file = open(path, "wb")
    self._meter = _Meter()
    self._consumer = ahead.Consumer(self._append)

  def writable(self) -> bool:
    """Returns True."""
    return True

  def write(self, content: Any) -> int:
    """Appends a buffer or an array, which must not be changed later.

    Raises:
      OSError: an earlier write has failed.
    """
    values = np.ascontiguousarray(memoryview(content))
    self._consumer.add(values.view(np.uint8).data)
    return values.nbytes

  def close(self) -> None:
    """Closes the file; raises OSError if a write has failed."""
    if self.closed:
      return
    super().close()
    with self._file:
      self._consumer.close()

  def measured(self) -> Measured:
    """Returns the checksums of the file, once it is closed."""
    return self._meter.result()

  def _append(self, content: memoryview) -> None:
    self._file.write(content)
    self._meter.add(content)


def measure(path: pathlib.Path) -> Measured:
  """Returns the checksums of a file."""
  meter = _Meter()
  with open(path, "rb") as file:
    for block in iter(functools.partial(file.read, SIZE), b""):
      meter.add(memoryview(block))
  return meter.result()


def split(
    sums: np.ndarray, sizes: Mapping[str, int]
) -> Iterator[tuple[str, np.ndarray]]:
  """Splits a table into the checksums of each file.

  Args:
    sums: the checksums of all files, sorted by file name.
    sizes: the size of each file in bytes.

  Raises:
    ValueError: the table does not match the sizes.
  """
  counts = [-(-sizes[name] // SIZE) for name in sorted(sizes)]
  if sums.dtype != np.uint32 or sums.shape != (sum(counts),):
    raise ValueError(f"{sums.dtype} {sums.shape}, not {sum(counts)} sums")
  yield from zip(
      sorted(sizes), np.split(sums, np.cumsum(counts)[:-1]), strict=True
  )
