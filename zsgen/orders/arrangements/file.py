"""File: any order from a table of ids."""

import csv
import dataclasses
import pathlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from zsgen.core import artifacts, errors, registry
from zsgen.core.schema import option
from zsgen.data.sources import records
from zsgen.orders import pool as pool_lib
from zsgen.orders.arrangements import arranged

_COLUMNS = ("id", "task", "key", "epoch")


def digest(path: str) -> str:
  """Returns the SHA-256 of an order's file.

  Raises:
    InputError: the file cannot be read.
  """
  file = pathlib.Path(path).expanduser()
  try:
    return artifacts.file_digest(file)
  except OSError as error:
    raise errors.InputError(
        f"config.order.path: {path or '(empty)'!r} cannot be read"
        f" ({error.strerror}). Give a .csv, .parquet or .txt file."
    ) from error


@dataclasses.dataclass(frozen=True)
class Options:
  """The options of `file`."""

  # A CSV, Parquet or text file with the order.
  path: str = option("", kind="local", machine=True, hashed=digest)


@registry.arrangement("file", options=Options)
def file(pool: pool_lib.Pool, options: Options, seed: int) -> arranged.Arranged:
  """Reads the order that a file lists.

  Args:
    pool: the rows, with their ids, task names and keys.
    options: the path of a `.csv` or `.parquet` table with a column `id`
      (example ids of the store), or with `task` and `key` (the publisher's id
      of the instance), and perhaps `epoch`, counted from 0; or of a text file
      with an id a line.
    seed: unused; nothing is drawn.

  Raises:
    InputError: a line (or row) is no training example, or is repeated in an
      epoch; the message names it.
  """
  del seed
  source = pathlib.Path(options.path).expanduser()
  table, locations = _read(source)
  finder = _Finder(source, locations, pool)
  if "id" in table:
    rows = finder.by_id(table["id"])
  elif "task" in table and "key" in table:
    rows = finder.by_key(table["task"], table["key"])
  else:
    raise errors.InputError(
        f"{source}: has no column id, nor task and key; it has"
        f" {', '.join(table) or 'no column'}."
    )
  epochs = finder.numbers("epoch", table.get("epoch", ["0"] * len(rows)))
  finder.check_once(rows, epochs)
  return arranged.from_rows(rows, epochs=epochs)


class _Finder:
  """Finds the rows that a file names, and locates its errors."""

  def __init__(
      self, file: pathlib.Path, locations: list[str], pool: pool_lib.Pool
  ):
    self._file = file
    self._locations = locations
    assert pool.facts is not None and pool.rows is not None
    self._pool = pool
    self._facts = pool.facts
    self._rows = pool.rows
    self._ids = pool.facts.ids[pool.rows]

  def by_id(self, values: list) -> np.ndarray:
    """Returns the rows of example ids, int64 [n]."""
    ids = self.numbers("id", values)
    order = np.argsort(self._ids)
    positions = np.searchsorted(self._ids[order], ids).clip(max=len(order) - 1)
    rows = order[positions]
    wrong = np.flatnonzero(self._ids[rows] != ids)
    if len(wrong):
      raise self._error(wrong[0], f"{ids[wrong[0]]} is no training example")
    return rows

  def by_key(self, tasks: list, keys: list) -> np.ndarray:
    """Returns the rows of tasks and the publisher's ids, int64 [n]."""
    names = [self._facts.names[task] for task in self._pool.tasks]
    known = np.array(self._facts.keys(), object)[self._rows]
    rows = {pair: i for i, pair in enumerate(zip(names, known, strict=True))}
    matches = [
        rows.get((str(t), str(k)), -1) for t, k in zip(tasks, keys, strict=True)
    ]
    if -1 in matches:
      wrong = matches.index(-1)
      raise self._error(
          wrong,
          f"task {tasks[wrong]!r} has no training example {keys[wrong]!r}",
      )
    return np.array(matches, np.int64)

  def numbers(self, column: str, values: list) -> np.ndarray:
    """Parses whole numbers from 0, int64 [n]."""
    for index, value in enumerate(values):
      text = str(value).strip()
      if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise self._error(index, f"{column} is {value!r}, no whole number")
    return np.array([int(value) for value in values], np.int64)

  def check_once(self, rows: np.ndarray, epochs: np.ndarray) -> None:
    """Raises InputError if an example comes twice in an epoch."""
    order = np.lexsort((rows, epochs))
    is_repeated = (np.diff(rows[order]) == 0) & (np.diff(epochs[order]) == 0)
    if is_repeated.any():
      wrong = int(order[1:][is_repeated].min())
      raise self._error(
          wrong, f"example {self._ids[rows[wrong]]} is there twice in an epoch"
      )

  def _error(self, index: int, problem: str) -> errors.InputError:
    return errors.InputError(
        f"{self._file}, {self._locations[index]}: {problem}. Give ids of the"
        " store's training examples (its examples.parquet lists them)."
    )


_Table = tuple[dict[str, list[Any]], list[str]]


def _read(file: pathlib.Path) -> _Table:
  """The columns that matter, by name, and where each row stands."""
  readers = {".csv": _csv, ".parquet": _parquet, ".txt": _text}
  if file.suffix not in readers:
    raise errors.InputError(
        f"config.order.path: {str(file)!r} is no .csv, .parquet or .txt file."
    )
  try:
    table, locations = readers[file.suffix](file)
  except (OSError, ValueError, csv.Error, pa.ArrowException) as error:
    raise errors.InputError(f"{file}: cannot be read ({error}).") from error
  if not locations:
    raise errors.InputError(f"{file}: the order is empty.")
  return table, locations


def _csv(file: pathlib.Path) -> _Table:
  with open(file, encoding="utf-8-sig", newline="") as lines:
    reader = csv.DictReader(lines, strict=True)
    rows = [(row, f"line {reader.line_num}") for row in reader]
  columns = records.distinct(reader.fieldnames or (), f"{file}, line 1")
  names = [name for name in columns if name in _COLUMNS]
  table = {name: [row[name] for row, _ in rows] for name in names}
  return table, [location for _, location in rows]


def _parquet(file: pathlib.Path) -> _Table:
  columns = records.distinct(pq.read_schema(file).names, file)
  names = [name for name in columns if name in _COLUMNS]
  table = pq.read_table(file, columns=names)
  return table.to_pydict(), [f"row {i}" for i in range(len(table))]


def _text(file: pathlib.Path) -> _Table:
  ids = file.read_text("utf-8-sig").splitlines()
  return {"id": ids}, [f"line {i}" for i in range(1, len(ids) + 1)]
