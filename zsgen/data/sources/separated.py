"""Comma- and tab-separated values with a header line, quoted as Excel does.

A quoted cell may hold line breaks, so that a quote without its end takes later
rows into one cell, up to the next quote or to the end of the file.
"""

from collections.abc import Iterator, Sequence
import csv
import pathlib
from typing import Any, BinaryIO, NamedTuple

from zsgen.core import errors
from zsgen.data.sources import json_rows, records

# The most lines of a quoted record: common texts have fewer.
_MAX_LINES = 100


class _Quoted(NamedTuple):
  """A record of several lines, as a csv reader found it."""

  # The number of its first line, from 1.
  first: int
  # Its lines, but for one that is too long.
  lines: Sequence[str]
  # Its cells; none if the reader could not tell them.
  cells: Sequence[str]
  # Whether the file, or what can be read of it in one go, ends inside it.
  ended: bool


class _Lines:
  """Yields lines of text to csv readers.

  Bytes that are not UTF-8 become lone surrogates: they spoil their own row
  only. At a line that is too long the reader ends; a new one continues after
  it.

  Attributes:
    count: lines that were read, or passed over.
    long: whether the last one was too long.
    returns: whether it has carriage returns inside.
  """

  def __init__(self, stream: BinaryIO):
    self._stream = stream
    self._lines: list[str] = []
    self._ended = False
    self.count = 0
    self.long = False
    self.returns = False

  def __iter__(self) -> Iterator[str]:
    self.long = False
    while line := self._stream.readline(records.LONGEST + 1):
      self.count += 1
      self.returns = b"\r" in line.rstrip(b"\r\n")
      if len(line) > records.LONGEST:
        json_rows.skip_line(self._stream, line)
        self._lines.append("")
        self.long = True
        return
      encoding = "utf-8-sig" if self.count == 1 else "utf-8"
      self._lines.append(line.decode(encoding, "surrogateescape"))
      yield self._lines[-1]
    self._ended = True

  def begin(self) -> int:
    """Begins a record; returns the number of its first line, from 1."""
    self._lines.clear()
    return self.count + 1

  def record(self, cells: list[str]) -> _Quoted:
    """Returns the lines since `begin`, which a reader split into cells."""
    first = self.count - len(self._lines) + 1
    return _Quoted(first, self._lines, cells, self._ended or self.long)


def comma(stream: BinaryIO, path: pathlib.Path) -> Iterator[records.Record]:
  """Yields every row of a CSV file; see `_scan`."""
  return _scan(stream, path, ",")


def tab(stream: BinaryIO, path: pathlib.Path) -> Iterator[records.Record]:
  """Yields every row of a TSV file; see `_scan`."""
  return _scan(stream, path, "\t")


def _scan(
    stream: BinaryIO, path: pathlib.Path, delimiter: str
) -> Iterator[records.Record]:
  """Yields every row as a dictionary of texts, named by the header.

  A quote that is left open makes every line that it swallows a bad row.

  Raises:
    InputError: a header that is broken or names a column twice.
  """
  # csv's own bound is 131,072 characters, for the whole process.
  csv.field_size_limit(records.LONGEST)
  text = _Lines(stream)
  reader = csv.reader(text, delimiter=delimiter)
  header = _header(reader, text, path, delimiter)
  while True:
    first = text.begin()
    location = f"{path}, line {first}"
    try:
      cells = next(reader, None)
      if cells is None and not text.long:
        return
      cells, value = cells or [], None
    except csv.Error as error:
      cells, value = [], _broken(error, text, location)
    record = text.record(cells)
    if reason := _wrong(record, delimiter, len(header)):
      yield from _lost(record, reason, path)
    elif text.long:
      yield records.Record(location, records.too_long(location))
    elif value or cells:
      yield records.Record(location, value or _row(header, cells, location))
    if text.long:
      reader = csv.reader(text, delimiter=delimiter)


def _wrong(record: _Quoted, delimiter: str, width: int) -> str:
  """Returns what is wrong with quotes of a record; "" if nothing is."""
  has_breaks = len(record.lines) > 1
  return _wrong_quotes(record, delimiter, width) if has_breaks else ""


def _lost(
    record: _Quoted, reason: str, path: pathlib.Path
) -> Iterator[records.Record]:
  """Yields a bad row for each line of a record whose quotes are wrong."""
  opened, last = _opened(record), record.first + len(record.lines) - 1
  location = f"{path}, line {opened}"
  message = (
      f"{location}: the quote that opens here {reason}. {len(record.lines):,}"
      f" lines are lost, up to line {last}. Close it, or double a quote that is"
      " text."
  )
  yield records.Record(location, errors.InputError(message))
  for number in range(record.first, last + 1):
    if number != opened:
      location = f"{path}, line {number}"
      message = f"{location}: is lost in the quote of line {opened}."
      yield records.Record(location, errors.InputError(message))


def _header(
    reader: Iterator[list[str]],
    text: _Lines,
    path: pathlib.Path,
    delimiter: str,
) -> list[str]:
  """Returns the names of the columns; none if the file is empty."""
  text.begin()
  try:
    header = next(reader, [])
  except csv.Error as error:
    raise _broken(error, text, f"{path}, line 1") from error
  if text.long:
    location = f"{path}, line {text.count}"
    raise (records.old_lines if text.returns else records.too_long)(location)
  record = text.record(header)
  if reason := _wrong(record, delimiter, len(header)):
    raise next(_lost(record, reason, path)).value
  records.distinct(header, f"{path}, line 1")
  return header


def _broken(error: csv.Error, text: _Lines, location: str) -> errors.InputError:
  """Returns what is wrong with a record."""
  # Inside of quotes they are text.
  if text.returns and "new-line character" in str(error):
    return records.old_lines(location)
  return errors.InputError(f"{location}: {error}.")


def _row(header: list[str], cells: list[str], location: str) -> Any:
  """Returns a row, or what is wrong with it."""
  if len(cells) != len(header):
    return errors.InputError(
        f"{location}: has {len(cells)} cells, but the header has {len(header)}."
    )
  try:
    "".join(cells).encode()
  except UnicodeEncodeError:
    return errors.InputError(f"{location}: is not UTF-8.")
  return dict(zip(header, cells, strict=True))


def _opened(record: _Quoted) -> int:
  """Returns the line of the quote that spans most lines, or is still open."""
  breaks = [cell.count("\n") for cell in record.cells]
  if not breaks:
    return record.first
  cell = len(breaks) - 1 if record.ended else breaks.index(max(breaks))
  return record.first + sum(breaks[:cell])


def _wrong_quotes(record: _Quoted, delimiter: str, width: int) -> str:
  """Returns what is wrong with the quotes of a record; "" if they are right.

  Args:
    record: of more than one line.
    delimiter: what is between cells.
    width: cells of a row. Many lines, most of which would be rows of so many
      cells, are rows: the quotes around them are those of two rows.
  """
  if record.ended or not record.cells:
    return "is not closed"
  try:
    list(csv.reader(record.lines, delimiter=delimiter, strict=True))
  except csv.Error:
    return f"does not end before a {delimiter!r} or a line's end"
  rows = sum(line.count(delimiter) == width - 1 for line in record.lines)
  if width > 1 and _MAX_LINES < len(record.lines) < 2 * rows:
    return "spans lines that are rows by themselves"
  return ""
