"""What the stages print for people."""

import contextlib

import rich.console
import rich.table

from zsgen.core import hosts, storage, texts
from zsgen.reports import grids


class Console:
  """Prints lines and tables, in process 0 only.

  Args:
    console: where they go; stderr by default.
  """

  def __init__(self, console: rich.console.Console | None = None):
    self._console = console or hosts.console()

  def log(self, line: str) -> None:
    """Prints a line."""
    line = texts.message(storage.public(line))
    self._console.print(line, markup=False, emoji=False)

  def show(self, table: grids.Grid | rich.table.Table) -> None:
    """Prints a table."""
    is_grid = isinstance(table, grids.Grid)
    self._console.print(grids.to_rich(table) if is_grid else table)

  def status(self, stage: str) -> contextlib.AbstractContextManager[object]:
    """Shows a spinner while a stage works."""
    return self._console.status(stage)
