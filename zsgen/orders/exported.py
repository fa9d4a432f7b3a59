"""Reads an exported order: examples by task and key, proved by their texts."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from zsgen.core import errors
from zsgen.orders import pool as pool_lib
from zsgen.orders import row_finder, tables

# The column that an exported order has, and no other table.
HASH = "text_hash"
COLUMNS = ("task", "key", HASH, "round", "distance")
# Examples that a message names.
_MAX_SHOWN = 5


class OtherExamples(errors.InputError):
  """A store lacks examples of an exported order, or has other texts for them.

  Attributes:
    lines: yields, once, the name of each such example and what is wrong with it.
  """

  def __init__(self, message: str, lines: Iterator[str]):
    super().__init__(message)
    self.lines = lines


def find(table: tables.Table, pool: pool_lib.Pool) -> np.ndarray:
  """Returns the row of the pool of each example, int64 [n].

  Ids are not read: in another store, they are those of other examples.

  Args:
    table: has the columns task, key and text_hash.
    pool: the rows of a store.

  Raises:
    OtherExamples: examples do not exist in the store, or have other texts
      there; the message has their numbers and the first few.
    InputError: a column is missing.
  """
  hint = "Give the order.parquet that python -m zsgen.orders export writes."
  names = list(
      zip(
          map(str, table.column("task", hint)),
          map(str, table.column("key", hint)),
          strict=True,
      )
  )
  rows = row_finder.RowFinder(table, pool).find_pairs(names)
  is_missing = rows < 0
  hashes = np.array(table.column(HASH, hint), object)
  assert pool.facts is not None and pool.rows is not None
  actual = pool.facts.text_hashes(pool.rows[rows[~is_missing]])
  differs = np.zeros(len(rows), bool)
  differs[~is_missing] = np.array(actual, object) != hashes[~is_missing]
  problems = {
      "missing": ("do not exist in the store", np.flatnonzero(is_missing)),
      "differs": ("have other texts in the store", np.flatnonzero(differs)),
  }
  if is_missing.any() or differs.any():
    raise _explain(table, names, problems)
  return rows


def numbers(table: tables.Table, column: str, default: float) -> np.ndarray:
  """Returns a column of numbers, float64 [n].

  Args:
    table: the exported order.
    column: round or distance.
    default: stands for an empty value.

  Raises:
    InputError: a value is not a number.
  """
  values = table.columns.get(column, [None] * len(table.locations))
  result = np.full(len(values), default)
  for index, value in enumerate(values):
    if value is None or value == "":
      continue
    try:
      result[index] = float(value)
    except (TypeError, ValueError) as error:
      raise errors.InputError(
          f"{table.path}, {table.locations[index]}: {column} is {value!r}, not"
          " a number. Export the order again."
      ) from error
  return result


def _explain(
    table: tables.Table,
    names: Sequence[tuple[str, str]],
    problems: Mapping[str, tuple[str, np.ndarray]],
) -> OtherExamples:
  """Returns the error for examples that a store does not have.

  Args:
    table: the exported order.
    names: task and key of each example.
    problems: by a word for its lines, each problem and the rows of the table
      that have it, int64.
  """
  counts = []
  for problem, rows in problems.values():
    if len(rows):
      ellipsis = ", …" if len(rows) > _MAX_SHOWN else ""
      first = ", ".join(_name(table, names, i) for i in rows[:_MAX_SHOWN])
      counts.append(f"{len(rows)} {problem}: {first}{ellipsis}")
  return OtherExamples(
      f"{table.path}: of {len(names)} examples, {'; '.join(counts)}. Make the"
      " store from the same source, by the recipe in the README.md of the"
      " exported order.",
      _list(table, names, problems),
  )


def _list(
    table: tables.Table,
    names: Sequence[tuple[str, str]],
    problems: Mapping[str, tuple[str, np.ndarray]],
) -> Iterator[str]:
  """Yields a line on each example with a problem; see `_explain`."""
  ids = table.columns.get("id", ["?"] * len(names))
  for word, (_, rows) in problems.items():
    for i in rows:
      yield f"{word}  id {ids[i]} {_name(table, names, i)}"


def _name(
    table: tables.Table, names: Sequence[tuple[str, str]], index: int
) -> str:
  """Returns the names of an example, and where it is in the table."""
  task, key = names[index]
  return f"task {task!r} key {key!r} ({table.locations[index]})"
