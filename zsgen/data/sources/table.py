"""The user's own tables: JSON lines, a JSON array, CSV, TSV, Parquet, Arrow.

`config.data.path` is a file, a directory or a glob (see files.py);
`config.data.fields` says which columns an example is made of. If no column
gives the split, files named train, heldout, validation or test do.
"""

from collections.abc import Callable, Mapping
import pathlib
import reprlib
import types
from typing import Any

from zsgen.core import config, errors, registry
from zsgen.data import suite
from zsgen.data.sources import (
    catalog,
    columns,
    file_reader,
    files,
    options,
    records,
)

# The task of rows that name none.
TASK = "table"
# The types of a part of an example, and their name. Others: text.
_MAY_BE = {
    "target": ((str, list), "text or a list of texts"),
    "key": ((str, int), "text or a whole number"),
    "choices": ((list,), "a list of texts"),
}
_TYPES = {
    types.NoneType: "null",
    bool: "a truth value",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
}
# The most columns that a message lists.
_MAX_COLUMNS = 20


@registry.source("table", options=options.Table)
def table(
    data: options.Table, seed: int, scratch: pathlib.Path
) -> catalog.Corpus:
  """Returns the user's tables, not scanned yet; tasks as they appear.

  Args:
    data: `path` and `fields`. Texts are unchanged. A row without
      columns for definition and input is plain text: answer only.
    seed: draws the instances.
    scratch: a directory for copies of remote files.

  Raises:
    InputError: no such file, or no column of answers is named.
  """
  fields = data.fields
  listing = files.find(data.path, scratch, fields.split)
  if not fields.target:
    raise errors.InputError(
        "config.data.fields.target is empty: name the column of the answers."
    )
  reader = reader_of(listing, fields)
  return catalog.Corpus("table", reader, data, seed, unlabelled=TASK)


def reader_of(
    listing: files.Listing, fields: config.Fields
) -> file_reader.FileReader:
  """Returns a reader of tables whose columns are named by `fields`."""
  columns_by_part = {part: getattr(fields, part) for part in _READ}
  convert = _Converter(
      {part: name for part, name in columns_by_part.items() if name}
  )
  return file_reader.FileReader(
      listing, convert, list(columns_by_part.values()), fields.task
  )


class _Converter:
  """Makes examples of rows."""

  def __init__(self, columns_by_part: Mapping[str, str]):
    """Takes the column of each part of an example that has one."""
    self._columns = columns_by_part

  def __call__(self, row: Any, origin: file_reader.Origin) -> suite.Example:
    """Returns a row as an example.

    Raises:
      InputError: a column that is named is missing, no text, or empty; or
        choices of which none is right. A definition may be empty or null,
        choices null, and an input empty where there is a definition.
    """
    parts: dict[str, Any] = {}
    for part, name in self._columns.items():
      # The definition may be sufficient.
      may_be_empty = part == "input" and parts.get("definition")
      read = _maybe_empty if may_be_empty else _READ[part]
      try:
        parts[part] = read(row, name, origin.location)
      except errors.InputError as error:
        raise _explain(error, row, name, part, origin) from error
    choices = parts.get("choices", ())
    targets = parts["target"]
    if choices:
      records.choose(
          choices, targets, origin.location, self._columns["choices"]
      )
    return suite.Example(
        task=parts.get("task", TASK),
        category=parts.get("category", ""),
        split=parts.get("split", origin.file.split),
        definition=parts.get("definition", ""),
        input=parts.get("input", ""),
        targets=targets,
        key=parts.get("key", origin.key),
        choices=choices,
    )


def _maybe_empty(row: Any, name: str, location: str) -> str:
  """Returns a column that is text."""
  return records.field(row, name, (str,), location)


def _optional(row: Any, name: str, location: str) -> str:
  """Returns a column that is text; "" where it is null or white space."""
  text = records.field(row, name, (str, types.NoneType), location) or ""
  return "" if text.isspace() else text


def _choices(row: Any, name: str, location: str) -> tuple[str, ...]:
  """Returns a column of texts to choose from; () where it is null."""
  if isinstance(row, Mapping) and name in row and row[name] is None:
    return ()
  return records.choices(row, name, location)


# Reads each part of an example, in this sequence.
_READ: dict[str, Callable[[Any, str, str], Any]] = {
    "definition": _optional,
    "input": records.text,
    "target": records.texts,
    "choices": _choices,
    "task": records.text,
    "category": records.text,
    "split": records.text,
    "key": records.key,
}


def _explain(
    error: errors.InputError,
    row: Any,
    name: str,
    part: str,
    origin: file_reader.Origin,
) -> errors.InputError:
  """Returns an error of a column in words of the user's options."""
  if not isinstance(row, Mapping):
    return error
  if name in row:
    reason = _describe_type(row[name], name, part)
  else:
    reason = _describe_missing(row, name, part, origin.file)
  return errors.InputError(f"{origin.location}: {reason}") if reason else error


def _describe_missing(
    row: Mapping, name: str, part: str, file: files.File
) -> str:
  """Returns the message on a column that is missing."""
  option = f"config.data.fields.{part}"
  # Of a columnar file, only the named columns are read.
  known = columns.names(file.path, file.format) or tuple(map(str, row))
  column_list = ", ".join(known[:_MAX_COLUMNS]) + ", …" * (
      len(known) > _MAX_COLUMNS
  )
  hint = (
      f" Or there is none: with --{option}= all rows are one task, and a"
      " held-out share is one of rows."
  )
  return (
      f"there is no column {name!r}, which {option} names."
      f"{errors.did_you_mean(name, known)} There are: {column_list}. Set"
      f" --{option}=NAME.{hint if part == 'task' else ''}"
  )


def _describe_type(value: Any, name: str, part: str) -> str:
  """Returns the message on a value of a wrong type; "" if it is right."""
  kinds, expected = _MAY_BE.get(part, ((str,), "text"))
  wrong = value
  if isinstance(value, list) and list in kinds:
    wrong = next((item for item in value if not isinstance(item, str)), value)
  if wrong is value and isinstance(value, kinds):
    return ""
  kind = _TYPES.get(type(wrong), type(wrong).__name__)
  inside = "" if wrong is value else "a list with "
  return (
      f'the field "{name}" (config.data.fields.{part}) must be {expected}, not'
      f" {inside}{kind}: {reprlib.repr(wrong)}."
  )
