"""File: any order from a table of ids."""

import dataclasses

import numpy as np

from zsgen.core import registry
from zsgen.core.schema import option
from zsgen.orders import exported, row_finder, tables
from zsgen.orders import pool as pool_lib
from zsgen.orders.arrangements import arranged


@dataclasses.dataclass(frozen=True)
class Options:
  """The options of `file`."""

  # A CSV, JSONL, Parquet or text file with the order.
  path: str = option("", kind="local", machine=True, hashed=tables.digest)


@registry.arrangement("file", options=Options)
def file(pool: pool_lib.Pool, options: Options, seed: int) -> arranged.Arranged:
  """Reads the order that a file lists.

  Args:
    pool: the rows, with their ids, task names and keys.
    options: the path of a table (`tables.read`) whose columns name examples
      (`row_finder`), and perhaps `epoch`, counted from 0; or an exported
      order (`exported`), whose rounds and distances are read too.
    seed: unused; nothing is drawn.

  Raises:
    InputError: a line (or row) is no training example, or is repeated in an
      epoch; the message names it. Or see `exported.find`.
  """
  del seed
  columns = (*row_finder.COLUMNS, *exported.COLUMNS, "epoch")
  table = tables.read(options.path, columns)
  finder = row_finder.RowFinder(table, pool)
  is_exported = exported.HASH in table.columns
  rows = exported.find(table, pool) if is_exported else finder.find()
  epochs = np.zeros(len(rows), np.int64)
  if "epoch" in table.columns:
    epochs = finder.numbers("epoch", table.columns["epoch"])
  _check_once(finder, rows, epochs)
  if not is_exported:
    return arranged.from_rows(rows, epochs=epochs)
  return arranged.from_rows(
      rows,
      rounds=exported.numbers(table, "round", 0),
      distances=exported.numbers(table, "distance", np.nan),
      epochs=epochs,
  )


def _check_once(
    finder: row_finder.RowFinder, rows: np.ndarray, epochs: np.ndarray
) -> None:
  """Raises InputError if an example comes twice in an epoch."""
  order = np.lexsort((rows, epochs))
  is_repeated = (np.diff(rows[order]) == 0) & (np.diff(epochs[order]) == 0)
  if is_repeated.any():
    wrong = int(order[1:][is_repeated].min())
    raise finder.error(
        wrong, f"example {finder.id_of(rows[wrong])} is there twice in an epoch"
    )
