"""Writes rows to a Parquet file, and counts them."""

import collections
from collections.abc import Iterable, Iterator, Mapping, Sequence
import itertools
import pathlib
import sys
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from zsgen.core import errors
from zsgen.data import suite
from zsgen.data.sources import bad_rows, child

# Rows that are written together.
_CHUNK = 1024
# Rows between two lines of progress.
_PROGRESS = 10_000
# Columns that hold several texts.
_LISTS = ("targets", "choices")
_SCHEMA = pa.schema(
    [
        (name, pa.list_(pa.string()) if name in _LISTS else pa.string())
        for name in child.COLUMNS
    ]
)


class Reader(Protocol):
  """Reads a data set."""

  name: str
  # For the manifest; whole when all rows have been read.
  notes: dict[str, Any]

  def rows(self) -> Iterator[suite.Example | errors.InputError]:
    """Yields all rows, once, the same in every process.

    A row that cannot be used is yielded as its error.
    """
    ...

  def files(self) -> list[str]:
    """Returns the files of this machine that they come from."""
    ...


def write(
    path: pathlib.Path,
    rows: Iterable[suite.Example | errors.InputError],
    name: str,
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
  bad = bad_rows.BadRows()
  good = _good(_progress(rows, name), bad)
  with pq.ParquetWriter(path, _SCHEMA) as table:
    while chunk := list(itertools.islice(good, _CHUNK)):
      for row in chunk:
        counts.setdefault(row.split, collections.Counter())[row.task] += 1
      columns = {
          field.name: pa.array(
              [getattr(row, field.name) for row in chunk], field.type
          )
          for field in _SCHEMA
      }
      table.write_table(pa.table(columns, _SCHEMA))
  return {"rows": counts, "bad_rows": bad.summary()}


def _good(
    rows: Iterable[suite.Example | errors.InputError], bad: bad_rows.BadRows
) -> Iterator[suite.Example]:
  """Yields the rows that can be used; counts the others in `bad`."""
  for row in rows:
    if isinstance(row, errors.InputError):
      bad.add(row)
    else:
      yield row


def _progress(rows: Iterable[Any], name: str) -> Iterator[Any]:
  """Yields the rows; prints their number at intervals and at the end."""
  count = 0
  for count, row in enumerate(rows, 1):
    yield row
    if count % _PROGRESS == 0:
      _report(f"{name}: {count} rows")
  _report(f"{name}: {count} rows, done")


def check_split(dataset: str, split: str, known: Sequence[str]) -> None:
  """Raises InputError if a data set has no such split.

  Args:
    dataset: its kind and name, for the message.
    split: the split that the config names.
    known: the splits that the data set has.
  """
  if split not in known:
    option = "dataset" if split == suite.TRAIN else "heldout"
    raise errors.InputError(
        f"config.data.{option}: the {dataset} has no split {split!r}."
        f"{errors.did_you_mean(split, known)} It has: {', '.join(known)}."
    )


def example(
    parts: Mapping[str, Sequence[str]], task: str, split: str, index: int
) -> suite.Example:
  """Returns the texts of each part as an example.

  Args:
    parts: the parts that the data set has, by the fields of `config.Fields`.
    task: the task of rows that name none.
    split: the split that the row is of.
    index: the number of the row, its key if it has none.
  """

  def text(part: str, default: str = "") -> str:
    """Returns the joined texts of a part, or the default without the part."""
    return "".join(parts[part]) if part in parts else default

  return suite.Example(
      task=text("task", task),
      category=text("category"),
      split=split,
      definition=text("definition"),
      input=text("input"),
      targets=tuple(parts["target"]),
      key=text("key", str(index)),
      choices=tuple(parts.get("choices", ())),
  )


def _report(line: str) -> None:
  """Prints a line of progress, for the parent to show."""
  print(f"progress {line}", file=sys.stderr, flush=True)


def text(value: Any) -> str:
  """Returns text unchanged, numbers in decimal.

  Raises:
    UnicodeDecodeError: bytes that are not UTF-8.
  """
  if isinstance(value, bytes):
    return value.decode()
  return value if isinstance(value, str) else str(np.asarray(value)[()])


def texts(value: Any) -> list[str]:
  """Returns one text, or all of a list.

  Raises:
    UnicodeDecodeError: bytes that are not UTF-8.
  """
  is_list = isinstance(value, list | np.ndarray) and np.ndim(value)
  return [text(item) for item in value] if is_list else [text(value)]
