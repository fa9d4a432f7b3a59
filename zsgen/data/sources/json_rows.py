"""JSON files: a row a line, or one array, however large.

Published instruction sets are single arrays of gigabytes: a scan of one holds
a window of its text only. A broken line affects no other line; after a broken
row of an array, no other can be found.
"""

from collections.abc import Iterator
import io
import itertools
import json
import pathlib
import re
from typing import Any, BinaryIO, TextIO

from zsgen.core import errors, strict_json
from zsgen.data.sources import records

_BOM = b"\xef\xbb\xbf"
# Characters, or bytes, that are read at once.
_CHUNK = 1 << 20
# A row of an array that has not ended after this many characters is broken.
_LONGEST = 1 << 26
_OPEN = re.compile(r"\ufeff?[ \t\r\n]*\[")
_CLOSE = re.compile(r"[ \t\r\n]*\]")
_SPACE = re.compile(r"[ \t\r\n]*")


def lines(
    stream: BinaryIO, path: pathlib.Path, before: int = 0
) -> Iterator[records.Record]:
  """Yields every line that is not blank.

  Args:
    stream: the bytes of the file, UTF-8, or of lines of it.
    path: its name, for messages.
    before: the number of lines that come before.
  """
  decoder = strict_json.Decoder()
  for number in itertools.count(before + 1):
    line = stream.readline(records.LONGEST + 1)
    if not line:
      return
    location = f"{path}, line {number}"
    if len(line) > records.LONGEST:
      skip_line(stream, line)
      old = number == 1 and b"\r" in line
      wrong = records.old_lines if old else records.too_long
      yield records.Record(location, wrong(location))
      continue
    if number == 1:
      line = line.removeprefix(_BOM)
    if line.strip():
      yield records.Record(location, _parse_line(line, location, decoder))


def skip_line(stream: BinaryIO, line: bytes) -> None:
  """Moves a stream to the end of a line, of which the beginning was read."""
  while line and not line.endswith(b"\n"):
    line = stream.readline(_CHUNK)


def _parse_line(
    line: bytes, location: str, decoder: strict_json.Decoder
) -> Any:
  """Returns the value of a line, or its error."""
  try:
    # With its end, a column could be one of the line after it.
    return decoder.decode(line.rstrip(b"\r\n").decode())
  except UnicodeDecodeError as error:
    return errors.InputError(f"{location}: is not UTF-8 ({error}).")
  except (ValueError, RecursionError) as error:
    if b"\r" in line.rstrip(b"\r\n"):
      return records.old_lines(location)
    reason = strict_json.describe(error)
    return errors.InputError(f"{location}: broken JSON ({reason}).")


def array(stream: BinaryIO, path: pathlib.Path) -> Iterator[records.Record]:
  """Yields every row of an array, in file order.

  Args:
    stream: the bytes of the file, UTF-8.
    path: its name, for messages.

  Raises:
    InputError: names file and row: not UTF-8, not an array, broken JSON, or a
      file that ends too early. No later row can be found then.
  """
  try:
    yield from _array(
        _Window(io.TextIOWrapper(stream, encoding="utf-8", newline="")), path
    )
  except UnicodeDecodeError as error:
    raise errors.InputError(f"{path}: is not UTF-8 ({error}).") from error


def _array(window: "_Window", path: pathlib.Path) -> Iterator[records.Record]:
  """Yields the rows of an array; see `array`."""
  if not window.skip(_OPEN):
    raise errors.InputError(f"{path}: must be a JSON array.")
  has_more = not window.skip(_CLOSE)
  for number in itertools.count():
    if not has_more:
      break
    location = f"{path}: row {number}"
    value, has_more = window.take(location)
    yield records.Record(location, value)
  if not window.is_blank():
    raise errors.InputError(
        f"{path}: continues after the end of its array, at byte"
        f" {window.byte()}."
    )


class _Window:
  """A part of a file's text, which moves along the file."""

  def __init__(self, file: TextIO):
    self._file = file
    self._text = file.read(_CHUNK)
    # The current position in the text; the bytes before the text.
    self._position, self._passed = 0, 0
    self._decoder = strict_json.Decoder()

  def byte(self) -> int:
    """Returns the current position in the file."""
    return self._passed + len(self._text[: self._position].encode())

  def skip(self, pattern: re.Pattern[str]) -> bool:
    """Moves past a pattern; returns whether it comes next."""
    match = pattern.match(self._text, self._position)
    self._position = match.end() if match else self._position
    return bool(match)

  def is_blank(self) -> bool:
    """Returns whether only white space follows in the next chunk."""
    return not (self._text[self._position :] + self._file.read(_CHUNK)).strip()

  def take(self, location: str) -> tuple[Any, bool]:
    """Returns the next row or its error, and whether more rows follow.

    The window grows until the row is whole.

    Raises:
      InputError: broken JSON.
    """
    while True:
      try:
        value, begin, end = self._decode()
        stop = _skip_space(self._text, end)
        mark = self._text[stop : stop + 1]
        if mark and mark not in ",]":
          raise json.JSONDecodeError(f"{mark!r} follows it", self._text, stop)
        if mark:
          self._position = stop + 1
          return self._check(value, begin, end, location), mark == ","
        reason = "neither ',' nor ']' follows it"
      except json.JSONDecodeError as error:
        reason = error.msg  # Its position is one in the window.
      except (ValueError, RecursionError) as error:
        # More text would not help.
        reason = strict_json.describe(error)
        raise errors.InputError(
            f"{location} is broken JSON ({reason})."
        ) from error
      if not self._grow():
        raise errors.InputError(
            f"{location} is broken JSON, or the file ends inside it ({reason})."
        )

  def _decode(self) -> tuple[Any, int, int]:
    """Parses the value that comes next; returns it, its begin and its end."""
    begin = _skip_space(self._text, self._position)
    value, end = self._decoder.decode_at(self._text, begin)
    return value, begin, end

  def _check(self, value: Any, begin: int, end: int, location: str) -> Any:
    """Returns a value, or its error."""
    if self._decoder.repeated:
      reason = strict_json.describe_repeated(self._decoder.repeated)
      return errors.InputError(f"{location} is broken JSON ({reason}).")
    # At most 4 bytes a character.
    may_be = end - begin > records.LONGEST // 4
    if may_be and len(self._text[begin:end].encode()) > records.LONGEST:
      return records.too_long(location)
    return value

  def _grow(self) -> bool:
    """Reads more text; returns whether there is any."""
    unread_length = len(self._text) - self._position
    # Doubling: a long row is tried anew only a few times.
    grown = (
        self._file.read(max(_CHUNK, unread_length))
        if unread_length < _LONGEST
        else ""
    )
    if grown:
      self._passed = self.byte()
      self._text, self._position = self._text[self._position :] + grown, 0
    return bool(grown)


def _skip_space(text: str, position: int) -> int:
  """Returns the first position from `position` on that is not white space."""
  match = _SPACE.match(text, position)
  assert match, "the pattern matches no characters, too"
  return match.end()
