"""Rows of the files of a source: scanned once, then read one by one.

JSON that is not packed is read where it stands. Rows of all other files are
copied, as lines of JSON, to one file without a name in the scratch directory.
Either way a row costs 12 bytes of memory.
"""

import array
import bisect
import collections
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
import json
import os
import pathlib
from typing import Any, BinaryIO, NamedTuple

from zsgen.core import errors, strict_json
from zsgen.data import suite
from zsgen.data.sources import (
    bad_rows,
    copies,
    files,
    json_rows,
    lines,
    records,
    separated,
    streams,
)
from zsgen.data.sources import columns as columns_lib

_TEXTS = {
    "array": json_rows.scan,
    "lines": lines.scan,
    "csv": separated.comma,
    "tsv": separated.tab,
}
_COLUMNS = {"parquet": columns_lib.parquet, "arrow": columns_lib.arrow}
# Names of fields that are counted one by one.
_MOST_FIELDS = 1000
_OTHERS = "(others)"


def _ignore(field: str) -> None:
  """Counts nothing."""


class Origin(NamedTuple):
  """Where a row comes from."""

  file: files.File
  # Its number in the file, from 0; blank lines are not counted.
  number: int
  # File and position, for messages.
  place: str
  # Names the row in the source, where it has no id of its own.
  key: str
  # Counts a field of the row that is not read, by its name.
  pass_over: Callable[[str], None] = _ignore


Convert = Callable[[Any, Origin], suite.Example]


class Rows:
  """The rows of several files as examples, by number.

  Attributes:
    files: all files that the rows depend on.
  """

  def __init__(
      self,
      listing: files.Listing,
      convert: Convert,
      scratch: pathlib.Path,
      columns: Sequence[str],
      task_column: str,
      beside: Sequence[pathlib.Path] = (),
  ):
    """Reads nothing yet.

    Args:
      listing: the files.
      convert: makes an example of a row; raises InputError if it cannot.
      scratch: directory for what cannot be read where it stands.
      columns: the fields that `convert` reads; others are counted.
      task_column: the field that names a row's task, "" for none.
      beside: files that the rows depend on, too.
    """
    self.files = (*(file.path for file in listing.files), *beside)
    self._found = listing.files
    self._unread_files = listing.unread
    self._unread_fields: collections.Counter[str] = collections.Counter()
    self._convert = convert
    self._columns = frozenset(filter(None, columns))
    self._task_column = task_column
    self._firsts: list[int] = []
    self._begins = array.array("q")
    self._lengths = array.array("I")
    self._copies = copies.Copies(scratch)
    self._open: tuple[int, BinaryIO] | None = None

  def scan(self) -> Iterator[suite.Example | errors.InputError]:
    """Every row, or what is wrong with it; then rows can be read by number.

    Raises:
      InputError: a file that cannot be read on.
    """
    for file in self._found:
      self._firsts.append(len(self._begins))
      try:
        yield from self._scan(file)
      except streams.BROKEN as error:
        raise errors.InputError(
            f"{file.path}: cannot be read ({error}). It may be damaged."
        ) from error

  def _scan(
      self, file: files.File
  ) -> Iterator[suite.Example | errors.InputError]:
    """The same for one file."""
    first = None
    for number, row in enumerate(_scan(file, self._columns)):
      example = self._example(row)
      if isinstance(example, errors.InputError):
        example = bad_rows.BadRow(str(example), self._task(row.value))
        if not number:  # What to say of it depends on whether it is alone.
          first = example, row.value
          continue
      if first:
        yield first[0]
        first = None
      yield example
    if first:
      yield _alone(*first, file)
    rows = len(self._begins) - self._firsts[-1]
    for name in columns_lib.names(file.path, file.format) if rows else ():
      if name not in self._columns:
        self._pass_over(name, rows)

  def told(self) -> dict[str, Any]:
    """What is not read of the source, once it was scanned.

    Returns:
      `unread_files`, see `unread.check`; `unread_fields`, the number of rows
      that have each.
    """
    return {
        "unread_files": dict(self._unread_files),
        "unread_fields": dict(self._unread_fields),
    }

  def _pass_over(self, name: str, rows: int = 1) -> None:
    """Counts a field that is not read."""
    name = records.printable(name)
    known = name in self._unread_fields
    room = len(self._unread_fields) < _MOST_FIELDS
    self._unread_fields[name if known or room else _OTHERS] += rows

  def _task(self, value: Any) -> str:
    """The task that a bad row names, if it does."""
    task = isinstance(value, Mapping) and value.get(self._task_column)
    return task if isinstance(task, str) else ""

  def _example(self, row: records.Row) -> suite.Example | errors.InputError:
    """The row as an example; remembers where it can be read again."""
    begin, length = max(row.begin, 0), row.length
    # Remembered before anything fails: numbers go by rows, bad ones too.
    self._begins.append(begin)
    self._lengths.append(length)
    if isinstance(row.value, errors.InputError):
      return row.value
    if length > records.LONGEST:
      return records.too_long(row.place)
    try:
      number = len(self._begins) - 1
      origin = self._origin(number, row.place, self._pass_over)
      example = records.usable(self._convert(row.value, origin), row.place)
    except errors.InputError as error:
      return error
    if row.begin < 0:
      try:
        line = json.dumps(row.value, default=str).encode() + b"\n"
      except RecursionError as error:
        said = strict_json.describe(error)
        return errors.InputError(f"{row.place}: cannot be read ({said}).")
      if len(line) > records.LONGEST:
        return records.too_long(row.place)
      self._begins[-1] = self._copies.add(line)
      self._lengths[-1] = len(line)
    # In the row's own sequence: a set's differs between processes.
    for name, value in row.value.items():
      if name not in self._columns and records.says_something(value):
        self._pass_over(name)
    return example

  def _origin(
      self,
      row: int,
      place: str = "",
      pass_over: Callable[[str], None] = _ignore,
  ) -> Origin:
    """Where the row of this number comes from."""
    index = bisect.bisect_right(self._firsts, row) - 1
    file, number = self._found[index], row - self._firsts[index]
    several = len(self._found) > 1
    return Origin(
        file=file,
        number=number,
        place=place or f"{file.path}: row {number}",
        key=f"{file.name}:{number}" if several else str(number),
        pass_over=pass_over,
    )

  def place(self, row: int) -> str:
    """File and number of a row, for messages."""
    return self._origin(row).place

  def read(self, row: int) -> suite.Example:
    """A row that was scanned and found good, by its number over all files.

    Raises:
      InputError: the file is not what was scanned.
    """
    origin = self._origin(row)
    begin, length = self._begins[row], self._lengths[row]
    try:
      if _in_place(origin.file):
        file = self._opened(bisect.bisect_right(self._firsts, row) - 1)
        text = os.pread(file.fileno(), length, begin)
      else:
        text = self._copies.read(begin, length)
      return self._convert(json.loads(text.decode()), origin)
    except (errors.InputError, OSError, ValueError, RecursionError) as error:
      raise errors.InputError(
          f"{origin.place} changed while the file was read ({error}). Run"
          " again."
      ) from error

  def _opened(self, index: int) -> BinaryIO:
    """The file of this number; one is open at a time."""
    if self._open is None or self._open[0] != index:
      if self._open is not None:
        self._open[1].close()
      self._open = index, open(self._found[index].path, "rb")
    return self._open[1]

  def __del__(self):
    if self._open is not None:
      self._open[1].close()


def _in_place(file: files.File) -> bool:
  """Whether the file's rows can be read where they stand."""
  return not file.packed and file.format in ("json", "array")


def _scan(file: files.File, columns: Collection[str]) -> Iterator[records.Row]:
  """Every row of a file."""
  if file.format in _COLUMNS:
    yield from _COLUMNS[file.format](file.path, columns)
    return
  with streams.open_stream(file) as stream:
    kind = streams.kind(stream, file)
    for row in _TEXTS[kind](stream, file.path):
      yield row if _in_place(file) else row._replace(begin=-1, length=0)


def _alone(
    error: bad_rows.BadRow, value: Any, file: files.File
) -> bad_rows.BadRow:
  """The only row of a file, which is bad: the rows may be inside it."""
  inner = value.values() if isinstance(value, Mapping) else ()
  listed = any(isinstance(each, list) and each for each in inner)
  if file.format != "json" or not listed:
    return error
  said = streams.describe_object(value)
  return bad_rows.BadRow(f"{error} The file {said}", error.task)
