"""Reads tables about training examples: CSV, JSONL, Parquet and text files."""

from collections.abc import Collection, Mapping, Sequence
import csv
import pathlib
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from zsgen.core import artifacts, errors
from zsgen.data.sources import json_rows, records

_SUFFIXES = ".csv, .jsonl, .parquet or .txt"


class Table(NamedTuple):
  """Columns of a file.

  Attributes:
    path: the file.
    columns: the values of the columns that were asked for, by name; None where
      a row has none.
    names: the names of all its columns.
    locations: where each row is, such as "line 3".
  """

  path: pathlib.Path
  columns: Mapping[str, list[Any]]
  names: Sequence[str]
  locations: Sequence[str]

  def column(self, name: str, hint: str) -> list[Any]:
    """Returns a column.

    Raises:
      InputError: there is none of that name; the message ends with `hint`.
    """
    if name not in self.columns:
      raise errors.InputError(
          f"{self.path}: has no column {name}; it has"
          f" {', '.join(self.names) or 'no column'}. {hint}"
      )
    return self.columns[name]


def digest(path: str) -> str:
  """Returns the SHA-256 of a table's file.

  Raises:
    InputError: the file cannot be read.
  """
  file = pathlib.Path(path).expanduser()
  try:
    return artifacts.file_digest(file)
  except OSError as error:
    raise errors.InputError(
        f"config.order.path: {path or '(empty)'!r} cannot be read"
        f" ({error.strerror}). Give a {_SUFFIXES} file."
    ) from error


def read(path: str, columns: Collection[str]) -> Table:
  """Reads columns of a file; the others are ignored.

  Args:
    path: a .csv, .jsonl or .parquet table, or a .txt file with an id a line.
    columns: the names of the columns to read; some may not exist.

  Raises:
    InputError: the file cannot be read, or has no row.
  """
  file = pathlib.Path(path).expanduser()
  readers = {
      ".csv": _csv,
      ".jsonl": _jsonl,
      ".parquet": _parquet,
      ".txt": _text,
  }
  if file.suffix not in readers:
    raise errors.InputError(
        f"config.order.path: {str(file)!r} is no {_SUFFIXES} file."
    )
  try:
    table = readers[file.suffix](file, columns)
  except (OSError, ValueError, csv.Error, pa.ArrowException) as error:
    raise errors.InputError(f"{file}: cannot be read ({error}).") from error
  if not table.locations:
    raise errors.InputError(f"{file}: is empty: it has no row.")
  return table


def _csv(file: pathlib.Path, columns: Collection[str]) -> Table:
  """Reads columns of a CSV file with a header."""
  with open(file, encoding="utf-8-sig", newline="") as lines:
    reader = csv.DictReader(lines, strict=True)
    rows = [(row, f"line {reader.line_num}") for row in reader]
  names = records.distinct(reader.fieldnames or (), f"{file}, line 1")
  values = {
      name: [row[name] for row, _ in rows] for name in names if name in columns
  }
  return Table(file, values, names, [location for _, location in rows])


def _jsonl(file: pathlib.Path, columns: Collection[str]) -> Table:
  """Reads columns of JSON lines; a field that is left out is None."""
  rows, locations = [], []
  with open(file, "rb") as stream:
    for record in json_rows.lines(stream, file):
      if isinstance(record.value, errors.InputError):
        raise record.value
      if not isinstance(record.value, dict):
        raise errors.InputError(
            f"{record.location}: is no JSON object. Give one object a line."
        )
      rows.append(record.value)
      locations.append(str(record.location).removeprefix(f"{file}, "))
  names = list(dict.fromkeys(name for row in rows for name in row))
  values = {
      name: [row.get(name) for row in rows] for name in names if name in columns
  }
  return Table(file, values, names, locations)


def _parquet(file: pathlib.Path, columns: Collection[str]) -> Table:
  """Reads columns of a Parquet file."""
  names = records.distinct(pq.read_schema(file).names, file)
  table = pq.read_table(file, columns=[n for n in names if n in columns])
  locations = [f"row {i}" for i in range(len(table))]
  return Table(file, table.to_pydict(), names, locations)


def _text(file: pathlib.Path, columns: Collection[str]) -> Table:
  """Reads a file with one id a line."""
  del columns  # It has one.
  ids = file.read_text("utf-8-sig").splitlines()
  locations = [f"line {i}" for i in range(1, len(ids) + 1)]
  return Table(file, {"id": ids}, ["id"], locations)
