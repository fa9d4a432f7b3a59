"""Reads a number for each training example from a file."""

import math
from typing import Any

import numpy as np

from zsgen.orders import pool as pool_lib
from zsgen.orders import row_finder, tables


def read(pool: pool_lib.Pool, path: str, column: str) -> np.ndarray:
  """Returns the score of each row of a pool, float64 [N].

  Args:
    pool: all rows of a store.
    path: a table (`tables.read`) whose columns name examples (`row_finder`).
    column: the name of the column of scores.

  Returns:
    The scores; NaN for rows that the file does not name.

  Raises:
    InputError: a score is no finite number, or a row of the file names no
      training example or the same one as a row before; the message names the
      row.
  """
  table = tables.read(path, (*row_finder.COLUMNS, column))
  finder = row_finder.RowFinder(table, pool)
  values = table.column(
      column, "Set config.order.column to that of the scores."
  )
  numbers = [_number(value) for value in values]
  wrong = next((i for i, n in enumerate(numbers) if n is None), None)
  if wrong is not None:
    raise finder.error(
        wrong,
        f"the score in the column {column} is {values[wrong]!r}, no finite"
        " number; correct it, or score the example again",
    )
  rows = finder.find()
  _check_once(finder, table, rows)
  scores = np.full(len(pool), np.nan)
  scores[rows] = numbers
  return scores


def _number(value: Any) -> float | None:
  """Returns a finite number, or None for another value."""
  if isinstance(value, bool) or "_" in str(value):
    return None
  try:
    number = float(value)
  except (TypeError, ValueError, OverflowError):
    return None
  return number if math.isfinite(number) else None


def _check_once(
    finder: row_finder.RowFinder, table: tables.Table, rows: np.ndarray
) -> None:
  """Raises InputError if two rows of the file name the same example."""
  order = np.argsort(rows, kind="stable")
  is_repeated = np.diff(rows[order]) == 0
  if is_repeated.any():
    repeated = int(order[1:][is_repeated].min())
    first = table.locations[int((rows == rows[repeated]).argmax())]
    raise finder.error(
        repeated,
        f"example {finder.id_of(rows[repeated])} has a score already, in"
        f" {first}; remove one of them",
    )
