"""Rows as a Parquet file, counted."""

import collections
from collections.abc import Iterable, Iterator, Sequence
import itertools
import pathlib
import sys
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from zsgen.data.sources import child

# Rows that are written together, and read together when one is drawn.
_CHUNK = 1024
# Rows between two lines of progress.
_PROGRESS = 10_000
# Messages of bad rows that are kept.
_MESSAGES = 5
# Columns that hold several texts.
_LISTS = ("targets", "choices")
_SCHEMA = pa.schema(
    [
        (name, pa.list_(pa.string()) if name in _LISTS else pa.string())
        for name in child.COLUMNS
    ]
)


class Row(NamedTuple):
  """An example, as the columns of the table."""

  task: str
  category: str
  split: str
  definition: str
  input: str
  targets: list[str]
  key: str
  choices: Sequence[str] = ()


class BadRow(NamedTuple):
  """What stands in a row's place if it cannot be used: where and what."""

  message: str


class Reader(Protocol):
  """What reads a data set."""

  name: str
  # For the manifest; whole when all rows have been read.
  told: dict[str, Any]

  def rows(self) -> Iterator[Row | BadRow]:
    """All rows, once, the same in every process."""

  def files(self) -> list[str]:
    """The files of this machine that they come from."""


def write(
    path: pathlib.Path, rows: Iterable[Row | BadRow], name: str
) -> dict[str, Any]:
  """Writes the rows that are good, a chunk at a time.

  Args:
    path: the file to write.
    rows: of any length; a chunk of them is held.
    name: for lines of progress, on stderr.

  Returns:
    `rows`: their number, by split and task. `bad_rows`: `count` and the
    messages of the `first` ones.
  """
  counts: dict[str, collections.Counter] = {}
  bad = {"count": 0, "first": []}
  kept = _good(_progress(rows, name), bad)
  with pq.ParquetWriter(path, _SCHEMA) as table:
    while chunk := list(itertools.islice(kept, _CHUNK)):
      for row in chunk:
        counts.setdefault(row.split, collections.Counter())[row.task] += 1
      columns = zip(*chunk, strict=True)
      table.write_table(
          pa.Table.from_arrays(
              [
                  pa.array(column, field.type)
                  for column, field in zip(columns, _SCHEMA, strict=True)
              ],
              schema=_SCHEMA,
          )
      )
  return {"rows": counts, "bad_rows": bad}


def _good(rows: Iterable[Row | BadRow], bad: dict[str, Any]) -> Iterator[Row]:
  """The rows that can be used; counts the others in `bad`."""
  for row in rows:
    if isinstance(row, Row):
      yield row
      continue
    bad["count"] += 1
    if bad["count"] <= _MESSAGES:
      bad["first"].append(row.message)


def _progress(
    rows: Iterable[Row | BadRow], name: str
) -> Iterator[Row | BadRow]:
  """The rows; tells how many, now and then and at the end."""
  count = 0
  for count, row in enumerate(rows, 1):
    yield row
    if count % _PROGRESS == 0:
      _tell(f"{name}: {count} rows")
  _tell(f"{name}: {count} rows, done")


def _tell(line: str) -> None:
  """A line of progress, for the parent to show."""
  print(f"progress {line}", file=sys.stderr, flush=True)


def text(value: Any) -> str:
  """Text as it is, numbers in decimal.

  Raises:
    UnicodeDecodeError: bytes that are not UTF-8.
  """
  if isinstance(value, bytes):
    return value.decode()
  return value if isinstance(value, str) else str(np.asarray(value)[()])


def texts(value: Any) -> list[str]:
  """One text, or all of a list.

  Raises:
    UnicodeDecodeError: bytes that are not UTF-8.
  """
  many = isinstance(value, list | np.ndarray) and np.ndim(value)
  return [text(each) for each in value] if many else [text(value)]
