"""Reads the rows of a source's files, each once, as examples."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
import pathlib
from typing import Any, NamedTuple

from zsgen.core import errors
from zsgen.data import suite
from zsgen.data.sources import (
    bad_rows,
    columns,
    files,
    items,
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


# Counts a field that is not read: its name, and the number of rows.
PassOver = Callable[..., None]
Convert = Callable[[Any, Origin], suite.Example]


class FileReader:
  """Reads the rows of several files; see `parts.Reader`.

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
    self._convert = convert
    self._columns = frozenset(filter(None, columns))
    self._task_column = task_column

  def file_items(self) -> list[items.Item]:
    """Returns an item for each file."""
    return [items.Item(number) for number in range(len(self._files))]

  def work_items(self) -> list[items.Item]:
    """Returns the items of each file; see `items.split`."""
    return [
        item
        for number, file in enumerate(self._files)
        for item in items.split(file, number)
    ]

  def read(
      self, item: items.Item, pass_over: PassOver
  ) -> Iterator[suite.Example | errors.InputError]:
    """Yields every row of an item, or its error.

    Args:
      item: one of `file_items` or of `work_items`.
      pass_over: counts fields that are not read.

    Raises:
      InputError: a file that cannot be read to its end.
    """
    file, count = self._files[item.file], 0
    try:
      for example in self._read(file, item, pass_over):
        count += 1
        yield example
    except streams.BROKEN as error:
      raise errors.InputError(
          f"{file.path}: cannot be read ({error}). It may be damaged."
      ) from error
    for name in columns.names(file.path, file.format) if count else ():
      if name not in self._columns:
        pass_over(name, count)

  def locate(self, item: items.Item, offset: int) -> str:
    """Returns the file and the number of a row of an item, for messages."""
    return f"{self._files[item.file].path}: row {item.row + offset}"

  def notes(self, unread_fields: Mapping[str, int]) -> dict[str, Any]:
    """Returns what is not read of the source.

    Args:
      unread_fields: the number of rows that have each field.

    Returns:
      `unread_files`, see `unread.check`, and `unread_fields`.
    """
    return {
        "unread_files": dict(self._unread_files),
        "unread_fields": dict(unread_fields),
    }

  def _read(
      self, file: files.File, item: items.Item, pass_over: PassOver
  ) -> Iterator[suite.Example | errors.InputError]:
    """Yields every row of an item of a file, or its error."""
    prefix = f"{file.name}:" if len(self._files) > 1 else ""
    first = None
    rows = enumerate(_scan(file, self._columns, item), item.row)
    for number, record in rows:
      origin = Origin(
          file, number, record.location, f"{prefix}{number}", pass_over
      )
      example = self._example(record, origin)
      is_first = not number and item.end == items.WHOLE
      if is_first and isinstance(example, errors.InputError):
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
        origin.pass_over(name)
    return example


def _scan(
    file: files.File, column_names: Collection[str], item: items.Item
) -> Iterator[records.Record]:
  """Yields every row of an item of a file."""
  if item.end != items.WHOLE:
    yield from _scan_part(file, column_names, item)
    return
  if file.format in _COLUMNS:
    yield from _COLUMNS[file.format](file.path, column_names)
    return
  with streams.open_stream(file) as stream:
    kind = streams.kind(stream, file)
    yield from _TEXTS[kind](stream, file.path)


def _scan_part(
    file: files.File, column_names: Collection[str], item: items.Item
) -> Iterator[records.Record]:
  """Yields every row of some lines, or row groups, of a file."""
  if file.format == "parquet":
    groups = range(item.begin, item.end)
    yield from columns.parquet(file.path, column_names, groups, item.row)
    return
  with streams.open_range(file, item.begin, item.end) as stream:
    yield from json_rows.lines(stream, file.path, item.line)


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
