"""Finds the training examples that a table names.

A row names its example by `id` (of the store); by `task` and `key`, the
publisher's id of the instance; or by `key` alone if no two tasks share it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from zsgen.core import errors
from zsgen.orders import pool as pool_lib
from zsgen.orders import tables

# The columns that name examples.
COLUMNS = ("id", "task", "key")
# Stands for the rows of a key that several tasks have.
_AMBIGUOUS = -2


class RowFinder:
  """Finds the rows of a pool that a table names, and locates its errors.

  Args:
    table: has some of `COLUMNS`.
    pool: the rows of a store.
  """

  def __init__(self, table: tables.Table, pool: pool_lib.Pool):
    assert pool.facts is not None and pool.rows is not None
    self._table = table
    self._pool = pool
    self._facts = pool.facts
    self._positions = pool.rows
    self._ids = pool.facts.ids[pool.rows]

  def find(self) -> np.ndarray:
    """Returns the row of the pool that each row of the table names, int64 [n].

    Raises:
      InputError: a row names no training example, or may name several.
    """
    columns = self._table.columns
    if "id" in columns:
      return self._find_ids(columns["id"])
    if "key" not in columns:
      self._table.column(
          "id, nor key",
          "Name examples by id (of the store), or by task and key.",
      )
    if "task" in columns:
      pairs = zip(columns["task"], columns["key"], strict=True)
      names = [(str(task), str(key)) for task, key in pairs]
      return self._look_up(self._rows_by_pair(), names)
    return self._look_up(self._rows_by_key(), map(str, columns["key"]))

  def find_pairs(self, names: Iterable[tuple[str, str]]) -> np.ndarray:
    """Returns the row of each task and key, int64 [n]; -1 for none."""
    rows = self._rows_by_pair()
    return np.array([rows.get(name, -1) for name in names], np.int64)

  def numbers(self, column: str, values: list[Any]) -> np.ndarray:
    """Parses whole numbers from 0, int64 [n]."""
    for index, value in enumerate(values):
      text = str(value).strip()
      if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise self.error(index, f"{column} is {value!r}, no whole number")
    return np.array([int(value) for value in values], np.int64)

  def id_of(self, row: Any) -> int:
    """Returns the example id of a row of the pool, an integer."""
    return int(self._ids[row])

  def error(self, index: Any, problem: str) -> errors.InputError:
    """Returns the error of a row of the table, given its integer index."""
    return errors.InputError(
        f"{self._table.path}, {self._table.locations[index]}: {problem}. Give"
        " ids of the store's training examples (its examples.parquet lists"
        " them)."
    )

  def _find_ids(self, values: list[Any]) -> np.ndarray:
    """Returns the rows of ids.

    Raises:
      InputError: an id is no training example.
    """
    ids = self.numbers("id", values)
    order = np.argsort(self._ids)
    positions = np.searchsorted(self._ids[order], ids).clip(max=len(order) - 1)
    rows = order[positions]
    wrong = np.flatnonzero(self._ids[rows] != ids)
    if len(wrong):
      raise self.error(wrong[0], f"id {ids[wrong[0]]} is no training example")
    return rows

  def _look_up(self, rows: Mapping[Any, int], names: Iterable) -> np.ndarray:
    """Returns the row of each name.

    Raises:
      InputError: there is no such name, or several tasks have it.
    """
    matches = []
    for index, name in enumerate(names):
      row = rows.get(name, -1)
      if row == _AMBIGUOUS:
        raise self.error(
            index,
            f"several tasks have a training example {name!r}, so a column task"
            " must name one of them",
        )
      if row < 0:
        task, key = name if isinstance(name, tuple) else ("", name)
        owner = f"task {task!r} has" if task else "there is"
        raise self.error(index, f"{owner} no training example {key!r}")
      matches.append(row)
    return np.array(matches, np.int64)

  def _rows_by_pair(self) -> dict[tuple[str, str], int]:
    """Returns the row of each task and key."""
    return {pair: row for row, pair in enumerate(self._pairs())}

  def _rows_by_key(self) -> dict[str, int]:
    """Returns the row of each key, `_AMBIGUOUS` if it has several."""
    rows: dict[str, int] = {}
    for row, (_, key) in enumerate(self._pairs()):
      rows[key] = _AMBIGUOUS if key in rows else row
    return rows

  def _pairs(self) -> list[tuple[str, str]]:
    """Returns task and key of each row of the pool."""
    keys = np.array(self._facts.keys(), object)[self._positions]
    names = [self._facts.names[task] for task in self._pool.tasks]
    return list(zip(map(str, names), keys.tolist(), strict=True))
