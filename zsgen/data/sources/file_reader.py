"""Reads the rows of a source's files, each once, as examples."""

import bisect
import collections
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
import pathlib
from typing import Any, NamedTuple

from zsgen.core import errors
from zsgen.data import suite
from zsgen.data.sources import (
    bad_rows,
    columns,
    files,
    json_rows,
    records,
    separated,
    streams,
)

_TEXTS = {
    "array": json_rows.array,
    "lines": json_rows.lines,
    "csv": separated.comma,
    "tsv": separated.tab,
}
_COLUMNS = {"parquet": columns.parquet, "arrow": columns.arrow}
# The most fields that are counted by name.
_MOST_FIELDS = 1000
_OTHER_FIELDS = "(others)"


class Origin(NamedTuple):
  """Where a row comes from."""

  file: files.File
  # Its number in the file, from 0; blank lines are not counted.
  number: int
  # File and position, for messages.
  location: str
  # Names the row in the source if it has no id of its own.
  key: str
  # Counts a field of the row that is not read, by its name.
  pass_over: Callable[[str], None]


Convert = Callable[[Any, Origin], suite.Example]


class FileReader:
  """Reads the rows of several files; see `catalog.Reader`.

  Attributes:
    files: all files that the rows depend on.
  """

  def __init__(
      self,
      listing: files.Listing,
      convert: Convert,
      columns: Sequence[str],
      task_column: str,
      extra_files: Sequence[pathlib.Path] = (),
  ):
    """Reads nothing yet.

    Args:
      listing: the files.
      convert: converts a row into an example; raises InputError if it cannot.
      columns: the fields that `convert` reads; others are counted.
      task_column: the field that names a row's task, "" for none.
      extra_files: further files that the rows depend on.
    """
    self.files = (*(file.path for file in listing.files), *extra_files)
    self._files = listing.files
    self._unread_files = listing.unread
    self._unread_fields: collections.Counter[str] = collections.Counter()
    self._convert = convert
    self._columns = frozenset(filter(None, columns))
    self._task_column = task_column
    # The number of the first row of each file.
    self._firsts: list[int] = []

  def read(self) -> Iterator[suite.Example | errors.InputError]:
    """Yields every row, or its error.

    Raises:
      InputError: a file that cannot be read to its end.
    """
    count = 0
    for file in self._files:
      self._firsts.append(count)
      try:
        for example in self._read(file):
          count += 1
          yield example
      except streams.BROKEN as error:
        raise errors.InputError(
            f"{file.path}: cannot be read ({error}). It may be damaged."
        ) from error
      self._count_unread_columns(file, count - self._firsts[-1])

  def locate(self, row: int) -> str:
    """Returns the file and the number of a row, for messages."""
    index = bisect.bisect_right(self._firsts, row) - 1
    return f"{self._files[index].path}: row {row - self._firsts[index]}"

  def notes(self) -> dict[str, Any]:
    """Returns what is not read of the source, once all rows were.

    Returns:
      `unread_files`, see `unread.check`; `unread_fields`, the number of rows
      that have each.
    """
    return {
        "unread_files": dict(self._unread_files),
        "unread_fields": dict(self._unread_fields),
    }

  def _read(
      self, file: files.File
  ) -> Iterator[suite.Example | errors.InputError]:
    """Yields every row of a file, or its error."""
    prefix = f"{file.name}:" if len(self._files) > 1 else ""
    first = None
    for number, record in enumerate(_scan(file, self._columns)):
      origin = Origin(
          file, number, record.location, f"{prefix}{number}", self._pass_over
      )
      example = self._example(record, origin)
      if not number and isinstance(example, errors.InputError):
        # The message depends on whether it is the only row.
        first = example, record.value
        continue
      if first:
        yield first[0]
        first = None
      yield example
    if first:
      yield _explain_only_row(*first, file)

  def _example(
      self, record: records.Record, origin: Origin
  ) -> suite.Example | bad_rows.BadRow:
    """Returns the row as an example, or its error."""
    value = record.value
    try:
      if isinstance(value, errors.InputError):
        raise value
      example = self._convert(value, origin)
      records.check_texts(example, record.location)
    except errors.InputError as error:
      task = isinstance(value, Mapping) and value.get(self._task_column)
      return bad_rows.BadRow(str(error), task if isinstance(task, str) else "")
    # In the row's own sequence: a set's differs between processes.
    for name, content in value.items():
      if name not in self._columns and records.has_content(content):
        self._pass_over(name)
    return example

  def _count_unread_columns(self, file: files.File, rows: int) -> None:
    """Counts the columns that are not read of a file in columns."""
    for name in columns.names(file.path, file.format) if rows else ():
      if name not in self._columns:
        self._pass_over(name, rows)

  def _pass_over(self, name: str, rows: int = 1) -> None:
    """Counts a field that is not read."""
    name = records.printable(name)
    known = name in self._unread_fields
    room = len(self._unread_fields) < _MOST_FIELDS
    self._unread_fields[name if known or room else _OTHER_FIELDS] += rows


def _scan(
    file: files.File, column_names: Collection[str]
) -> Iterator[records.Record]:
  """Yields every row of a file."""
  if file.format in _COLUMNS:
    yield from _COLUMNS[file.format](file.path, column_names)
    return
  with streams.open_stream(file) as stream:
    kind = streams.kind(stream, file)
    yield from _TEXTS[kind](stream, file.path)


def _explain_only_row(
    error: bad_rows.BadRow, value: Any, file: files.File
) -> bad_rows.BadRow:
  """Explains the error of a file's only row: the rows may be inside it."""
  inner = value.values() if isinstance(value, Mapping) else ()
  has_list = any(isinstance(item, list) and item for item in inner)
  if file.format != "json" or not has_list:
    return error
  described = streams.describe_object(value)
  return bad_rows.BadRow(f"{error} The file {described}", error.task)
