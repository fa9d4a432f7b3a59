"""Saves vectors while texts are embedded, so that a kill loses little.

A complete chunk of texts is a file `chunk-00000.vectors`. Until then, new
vectors are written every few seconds as a part, such as
`chunk-00000.part-00002.vectors`. Each file begins with the SHA-256 of the rest;
a damaged file is made again.
"""

import hashlib
import io
import pathlib
import time

import numpy as np

from zsgen.core import artifacts
from zsgen.orders.embedders import encoded

# Seconds of work in a part, which a kill may lose.
_SECONDS = 2.0
_SUFFIX = ".vectors"
_DIGEST = hashlib.sha256().digest_size


def chunk_path(directory: pathlib.Path, number: int) -> pathlib.Path:
  """Returns the path of the complete chunk with this number."""
  return directory / f"chunk-{number:05d}{_SUFFIX}"


def read_chunk(
    path: pathlib.Path, shape: tuple[int, int], owner: str = ""
) -> encoded.Encoded | None:
  """Reads a complete chunk; None if missing, damaged or of another shape.

  Args:
    path: the file.
    shape: the expected shape of its vectors.
    owner: see `write_arrays`.
  """
  arrays = read_arrays(path, owner)
  if arrays is None or arrays["vectors"].shape != shape:
    return None
  return encoded.Encoded(arrays["vectors"], int(arrays["cut"]))


class Chunk:
  """A chunk that is being computed; starts from existing parts.

  Attributes:
    is_done: which rows have vectors, bool [n].
    damaged: damaged files, which were deleted.
  """

  def __init__(
      self, path: pathlib.Path, shape: tuple[int, int], owner: str = ""
  ):
    """See `read_chunk` for the arguments."""
    self.is_done = np.zeros(shape[0], bool)
    self.damaged: list[pathlib.Path] = []
    self._path = path
    self._owner = owner
    self._vectors = np.zeros(shape, np.float32)
    self._pending: list[np.ndarray] = []
    self._last = time.monotonic()
    if path.exists():  # Otherwise it would not be made again.
      self._drop(path)
    self._parts = sorted(path.parent.glob(f"{path.stem}.part-*{_SUFFIX}"))
    self._next = 1 + max(map(_number, self._parts), default=-1)
    for part in [*self._parts]:
      self._take(part)

  def add(self, rows: np.ndarray, vectors: np.ndarray) -> None:
    """Adds vectors [n, D] of rows [n], and writes a part every few seconds."""
    self._vectors[rows] = vectors
    self.is_done[rows] = True
    self._pending.append(rows)
    if time.monotonic() - self._last > _SECONDS:
      rows = np.concatenate(self._pending)
      part = self._path.with_name(
          f"{self._path.stem}.part-{self._next:05d}{_SUFFIX}"
      )
      vectors = self._vectors[rows]
      write_arrays(part, self._owner, rows=rows, vectors=vectors)
      self._parts.append(part)
      self._next += 1
      self._pending = []
      self._last = time.monotonic()

  def finish(self, cut: int) -> None:
    """Writes the complete chunk, and deletes its parts.

    Args:
      cut: the number of its texts that were cut.
    """
    write_arrays(
        self._path, self._owner, vectors=self._vectors, cut=np.array(cut)
    )
    for part in self._parts:
      part.unlink(missing_ok=True)

  def _take(self, part: pathlib.Path) -> None:
    """Reads the vectors of a part; deletes it if it is damaged."""
    arrays = read_arrays(part, self._owner)
    if arrays is None or not self._fits(arrays):
      self._drop(part)
      self._parts.remove(part)
    else:
      self._vectors[arrays["rows"]] = arrays["vectors"]
      self.is_done[arrays["rows"]] = True

  def _fits(self, arrays: dict[str, np.ndarray]) -> bool:
    """Returns whether a part belongs to a chunk of this shape."""
    rows, width = arrays["rows"], self._vectors.shape[1]
    return (
        rows.max() < len(self.is_done) and arrays["vectors"].shape[1] == width
    )

  def _drop(self, path: pathlib.Path) -> None:
    self.damaged.append(path)
    path.unlink()


def _number(part: pathlib.Path) -> int:
  digits = part.stem.rpartition("-")[2]
  return int(digits) if digits.isdecimal() else -1


def write_arrays(
    path: pathlib.Path, owner: str = "", **arrays: np.ndarray
) -> None:
  """Writes arrays by name, with a digest, in full or not at all.

  Args:
    path: the file.
    owner: what the file belongs to, if its directory does not say it. No other
      owner can read it, nor can it be read under another name.
    **arrays: its content.
  """
  data = io.BytesIO()
  np.savez(data, allow_pickle=False, **arrays)
  content = data.getvalue()
  artifacts.write_bytes(path, _digest(path, content, owner) + content)


def read_arrays(
    path: pathlib.Path, owner: str = ""
) -> dict[str, np.ndarray] | None:
  """Returns the arrays of a file; None if it is missing or damaged.

  Args:
    path: the file.
    owner: as for `write_arrays`.
  """
  try:
    data = path.read_bytes()
  except OSError:
    return None
  content = data[_DIGEST:]
  if _digest(path, content, owner) != data[:_DIGEST]:
    return None
  with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
    return dict(arrays)


def _digest(path: pathlib.Path, content: bytes, owner: str) -> bytes:
  """Returns the SHA-256 of a file's content and of its owner, if any."""
  digest = hashlib.sha256(f"{owner}, {path.name}".encode() if owner else b"")
  digest.update(content)
  return digest.digest()
