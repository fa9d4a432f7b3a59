"""A JSON array on disk, however large: scanned once, then read row by row.

Published instruction sets are single arrays of gigabytes. A scan holds one
row at a time and remembers where each stands (16 bytes a row).
"""

import array
from collections.abc import Iterator
import json
import pathlib
import re
from typing import Any, BinaryIO, NamedTuple, TextIO

from zsgen import errors

# Characters that are read in one go.
_CHUNK = 1 << 20
# No row is longer than this many characters: what looks so is broken.
_LONGEST = 1 << 26
_OPEN = re.compile(r"\ufeff?[ \t\r\n]*\[")
_SPACE = re.compile(r"[ \t\r\n]*")
_DECODE = json.JSONDecoder().raw_decode


class JsonRows:
  """The rows of a file that is one JSON array.

  Attributes:
    path: the file, UTF-8.
  """

  def __init__(self, path: pathlib.Path):
    self.path = path
    self._begins = array.array("q")
    self._ends = array.array("q")

  def scan(self) -> Iterator[Any]:
    """Every row, in file order; afterwards rows can be read by number.

    Raises:
      InputError: names file and row: not UTF-8, not an array, broken JSON, or
        a file that ends too early.
    """
    self._begins, self._ends = array.array("q"), array.array("q")
    try:
      with open(self.path, encoding="utf-8", newline="") as file:
        yield from self._scan(file)
    except UnicodeDecodeError as error:
      raise errors.InputError(
          f"{self.path}: is not UTF-8 ({error})."
      ) from error
    except OSError as error:
      raise errors.InputError(
          f"{self.path}: cannot be read ({error.strerror})."
      ) from error

  def _scan(self, file: TextIO) -> Iterator[Any]:
    """Takes rows from a window of text that moves along the file."""
    text = file.read(_CHUNK)
    opened = _OPEN.match(text)
    if not opened:
      raise errors.InputError(f"{self.path}: must be a JSON array.")
    at = opened.end()
    byte = len(text[:at].encode())
    more = True
    while more:
      row, text, at = self._next(file, text, at)
      begin = byte + len(text[at : row.begin].encode())
      self._begins.append(begin)
      self._ends.append(begin + len(text[row.begin : row.end].encode()))
      byte = self._ends[-1] + len(text[row.end : row.next].encode())
      at, more = row.next, row.mark == ","
      yield row.value
    if text[at:].strip() or file.read(_CHUNK).strip():
      raise errors.InputError(
          f"{self.path}: goes on after its array's end, at byte {byte}."
      )

  def _next(
      self, file: TextIO, text: str, at: int
  ) -> tuple["_Taken", str, int]:
    """The row from `at` on; the window grows until the row is whole."""
    while True:
      try:
        row = _take(text, at)
        if row.mark:
          return row, text, at
        said = "neither ',' nor ']' follows it"
      except (ValueError, RecursionError) as error:
        said = str(error)
      held = len(text) - at
      # Doubling: a long row is tried anew only a few times.
      grown = file.read(max(_CHUNK, held)) if held < _LONGEST else ""
      if not grown:
        raise errors.InputError(
            f"{self.path}: row {len(self._begins)} is broken JSON, or the file"
            f" ends inside it ({said})."
        )
      text, at = text[at:] + grown, 0

  def read(self, file: BinaryIO, row: int) -> Any:
    """A row that was scanned, by its number.

    Args:
      file: `path`, opened for reading bytes.
      row: its number in the array, from 0.

    Raises:
      InputError: the file is not what was scanned.
    """
    file.seek(self._begins[row])
    try:
      return json.loads(file.read(self._ends[row] - self._begins[row]))
    except ValueError as error:
      raise errors.InputError(
          f"{self.path}: row {row} changed while the file was read ({error})."
          " Run again."
      ) from error


class _Taken(NamedTuple):
  """A row in a window of text, and what follows it."""

  value: Any
  begin: int
  end: int
  mark: str  # "," or "]"; "" if the window ends before either.
  next: int


def _take(text: str, at: int) -> _Taken:
  """Parses the value that begins at or after `at`.

  Raises:
    ValueError: broken JSON, or not whole in this window.
    RecursionError: nested too deeply.
  """
  begin = _SPACE.match(text, at).end()
  value, end = _DECODE(text, begin)
  stop = _SPACE.match(text, end).end()
  mark = text[stop : stop + 1]
  if mark and mark not in ",]":
    raise ValueError(f"{mark!r} follows it")
  return _Taken(value, begin, end, mark, stop + 1)
