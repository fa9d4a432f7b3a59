"""Reads an exported order: examples by task and key, proved by their texts."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from zsgen.core import errors
from zsgen.orders import pool as pool_lib
from zsgen.orders import row_finder, tables

# The column that an exported order has, and no other table.
HASH = "text_hash"
COLUMNS = ("task", "key", HASH, "round", "distance")
# Examples that a message names.
_MAX_SHOWN = 5


def find(table: tables.Table, pool: pool_lib.Pool) -> np.ndarray:
  """Returns the row of the pool of each example, int64 [n].

  Ids are not read: in another store, they are those of other examples.

  Args:
    table: has the columns task, key and text_hash.
    pool: the rows of a store.

  Raises:
    InputError: examples do not exist in the store, or have other texts there;
      the message has their numbers and the first few.
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
  problems = [
      *_describe(is_missing, "do not exist in the store", names, table),
      *_describe(differs, "have other texts in the store", names, table),
  ]
  if problems:
    raise errors.InputError(
        f"{table.path}: of {len(rows)} examples, {'; '.join(problems)}. Make"
        " the store from the same source, by the recipe in the README.md of the"
        " exported order."
    )
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


def _describe(
    is_wrong: np.ndarray,
    problem: str,
    names: Sequence[tuple[str, str]],
    table: tables.Table,
) -> list[Any]:
  """Returns how many examples have a problem and the first few, if any."""
  wrong = np.flatnonzero(is_wrong)
  if not len(wrong):
    return []
  examples = ", ".join(
      f"task {names[i][0]!r} key {names[i][1]!r} ({table.locations[i]})"
      for i in wrong[:_MAX_SHOWN].tolist()
  )
  ellipsis = ", …" if len(wrong) > _MAX_SHOWN else ""
  return [f"{len(wrong)} {problem}: {examples}{ellipsis}"]
