"""Comma- and tab-separated values with a header line, quoted as Excel does."""

from collections.abc import Iterator
import csv
import pathlib
from typing import Any, BinaryIO

from zsgen import errors
from zsgen.data.sources import lines, records


class _Lines:
  """Lines of text for csv readers.

  Bytes that are not UTF-8 become lone surrogates: they spoil their own row
  only. At a line that is too long the reader ends; a new one goes on after it.

  Attributes:
    count: lines that were given, or passed over.
    long: whether the last one was too long.
  """

  def __init__(self, stream: BinaryIO):
    self._stream = stream
    self.count = 0
    self.long = False

  def __iter__(self) -> Iterator[str]:
    self.long = False
    while line := self._stream.readline(records.LONGEST + 1):
      self.count += 1
      if len(line) > records.LONGEST:
        lines.skip(self._stream, line)
        self.long = True
        return
      encoding = "utf-8-sig" if self.count == 1 else "utf-8"
      yield line.decode(encoding, "surrogateescape")


def comma(stream: BinaryIO, path: pathlib.Path) -> Iterator[records.Row]:
  """Every row of a CSV file; see `_scan`."""
  return _scan(stream, path, ",")


def tab(stream: BinaryIO, path: pathlib.Path) -> Iterator[records.Row]:
  """Every row of a TSV file; see `_scan`."""
  return _scan(stream, path, "\t")


def _scan(
    stream: BinaryIO, path: pathlib.Path, delimiter: str
) -> Iterator[records.Row]:
  """Every row as a dictionary of texts, named by the header.

  Raises:
    InputError: a header that is broken or names a column twice.
  """
  # csv's own bound is 131,072 characters, for the whole process.
  csv.field_size_limit(records.LONGEST)
  given = _Lines(stream)
  reader = csv.reader(given, delimiter=delimiter)
  header = _header(reader, path)
  while True:
    place = f"{path}, line {given.count + 1}"
    try:
      cells = next(reader, None)
    except csv.Error as error:
      yield records.Row(place, errors.InputError(f"{place}: {error}."))
      continue
    if given.long:
      yield records.Row(place, records.too_long(place))
      reader = csv.reader(given, delimiter=delimiter)
    elif cells is None:
      return
    elif cells:
      yield records.Row(place, _row(header, cells, place))


def _header(reader: Iterator[list[str]], path: pathlib.Path) -> list[str]:
  """The names of the columns; none if the file is empty."""
  try:
    header = next(reader, [])
  except csv.Error as error:
    raise errors.InputError(f"{path}, line 1: {error}.") from error
  twice = [name for name in header if header.count(name) > 1]
  if twice:
    raise errors.InputError(
        f"{path}, line 1: names the column {twice[0]!r} twice."
    )
  return header


def _row(header: list[str], cells: list[str], place: str) -> Any:
  """The row, or what is wrong with it."""
  if len(cells) != len(header):
    return errors.InputError(
        f"{place}: has {len(cells)} cells, but the header has {len(header)}."
    )
  try:
    "".join(cells).encode()
  except UnicodeEncodeError:
    return errors.InputError(f"{place}: is not UTF-8.")
  return dict(zip(header, cells, strict=True))
