"""A JSON array, however large: its rows one at a time, and where they stand.

Published instruction sets are single arrays of gigabytes. A scan holds a
window of text, no more.
"""

from collections.abc import Iterator
import io
import json
import pathlib
import re
from typing import Any, BinaryIO, NamedTuple, TextIO

from zsgen.core import errors, strict_json
from zsgen.data.sources import records

# Characters that are read in one go.
_CHUNK = 1 << 20
# No row is longer than this many characters: what looks so is broken.
_LONGEST = 1 << 26
_OPEN = re.compile(r"\ufeff?[ \t\r\n]*\[")
_EMPTY = re.compile(_OPEN.pattern + r"[ \t\r\n]*\]")
_SPACE = re.compile(r"[ \t\r\n]*")


def scan(stream: BinaryIO, path: pathlib.Path) -> Iterator[records.Row]:
  """Every row of an array, in file order, with its bytes' place.

  Args:
    stream: the file's bytes, UTF-8.
    path: its name, for messages.

  Raises:
    InputError: names file and row: not UTF-8, not an array, broken JSON, or a
      file that ends too early. No later row can be found then.
  """
  try:
    yield from _scan(
        io.TextIOWrapper(stream, encoding="utf-8", newline=""), path
    )
  except UnicodeDecodeError as error:
    raise errors.InputError(f"{path}: is not UTF-8 ({error}).") from error


def _scan(file: TextIO, path: pathlib.Path) -> Iterator[records.Row]:
  """Takes rows from a window of text that moves along the file."""
  text = file.read(_CHUNK)
  opened = _OPEN.match(text)
  if not opened:
    raise errors.InputError(f"{path}: must be a JSON array.")
  empty = _EMPTY.match(text)
  at, more = (empty or opened).end(), not empty
  byte = len(text[:at].encode())
  number, decoder = 0, strict_json.Decoder()
  while more:
    place = f"{path}: row {number}"
    row, text, at = _next(file, text, at, place, decoder)
    begin = byte + len(text[at : row.begin].encode())
    length = len(text[row.begin : row.end].encode())
    byte = begin + length + len(text[row.end : row.next].encode())
    at, more = row.next, row.mark == ","
    value = row.value
    if decoder.repeated:
      said = strict_json.describe_repeated(decoder.repeated)
      value = errors.InputError(f"{place} is broken JSON ({said}).")
    yield records.Row(place, value, begin, length)
    number += 1
  if text[at:].strip() or file.read(_CHUNK).strip():
    raise errors.InputError(
        f"{path}: goes on after its array's end, at byte {byte}."
    )


def _next(
    file: TextIO,
    text: str,
    at: int,
    place: str,
    decoder: strict_json.Decoder,
) -> tuple["_Taken", str, int]:
  """The row from `at` on; the window grows until the row is whole."""
  while True:
    try:
      row = _take(text, at, decoder)
      if row.mark:
        return row, text, at
      said = "neither ',' nor ']' follows it"
    except json.JSONDecodeError as error:
      said = error.msg  # Its position is one in the window.
    except (ValueError, RecursionError) as error:
      # More text would not mend it.
      said = strict_json.describe(error)
      raise errors.InputError(f"{place} is broken JSON ({said}).") from error
    held = len(text) - at
    # Doubling: a long row is tried anew only a few times.
    grown = file.read(max(_CHUNK, held)) if held < _LONGEST else ""
    if not grown:
      raise errors.InputError(
          f"{place} is broken JSON, or the file ends inside it ({said})."
      )
    text, at = text[at:] + grown, 0


class _Taken(NamedTuple):
  """A row in a window of text, and what follows it."""

  value: Any
  begin: int
  end: int
  mark: str  # "," or "]"; "" if the window ends before either.
  next: int


def _take(text: str, at: int, decoder: strict_json.Decoder) -> _Taken:
  """Parses the value that begins at or after `at`.

  Raises:
    JSONDecodeError: broken JSON, or not whole in this window.
    ValueError, RecursionError: see `strict_json.describe`.
  """
  begin = _SPACE.match(text, at).end()
  value, end = decoder.decode_at(text, begin)
  stop = _SPACE.match(text, end).end()
  mark = text[stop : stop + 1]
  if mark and mark not in ",]":
    raise json.JSONDecodeError(f"{mark!r} follows it", text, stop)
  return _Taken(value, begin, end, mark, stop + 1)
