"""The state of each point of a sweep, as a table."""

from collections.abc import Callable, Sequence
import os
import pathlib
import re
import time
from typing import NamedTuple

import rich.box
import rich.console
import rich.live
import rich.table

from launch import claims
from zsgen.core import artifacts
from zsgen.reports import notes
from zsgen.train import record_digests, records

# What zsgen.train.records.lock locks.
_RUN_LOCK = ".lock"
FINISHED, RUNNING, FREE = "finished", "running", "free"


class State(NamedTuple):
  """The state of a point.

  Attributes:
    point: its name.
    state: "finished", "running", or "free" for the next process.
    steps: steps that are logged, and all of them; "" before the first.
    holder: the process that trains it.
  """

  point: str
  state: str
  steps: str
  holder: str


def find_states(directory: pathlib.Path, points: Sequence[str]) -> list[State]:
  """Returns the states of points.

  Args:
    directory: the directory of the sweep, `WORKDIR/sweeps/NAME`.
    points: their names.

  Raises:
    InputError: the note of a finished run is damaged.
  """
  return [_find_state(directory, point) for point in points]


def _find_state(directory: pathlib.Path, point: str) -> State:
  """Returns the state of a point: finished, running or free."""
  run = notes.find_run(directory, point)
  if run is not None:
    return State(point, FINISHED, _steps(run), "")
  run = _unfinished(directory.parents[1] / "runs", point)
  holder = claims.holder(directory, point)
  # A run of several processes has no claim.
  is_running = holder or (run and claims.is_locked(run / _RUN_LOCK))
  state = RUNNING if is_running else FREE
  return State(point, state, _steps(run) if run else "", holder)


def _unfinished(runs: pathlib.Path, point: str) -> pathlib.Path | None:
  """Returns the run of a point that was trained last and is not finished."""
  candidates = [
      run
      for run in runs.glob(f"{point}-*")
      if re.fullmatch("[0-9a-f]+", run.name.removeprefix(f"{point}-"))
      and (run / artifacts.MANIFEST).exists()
      and not (run / record_digests.RESULT).exists()
  ]
  return max(candidates, key=os.path.getmtime, default=None)


def _steps(run: pathlib.Path) -> str:
  """Returns the number of logged steps, and of all steps."""
  steps = artifacts.read_manifest(run)["steps"]
  return f"{_last_step(run / records.METRICS)} of {steps}"


def _last_step(path: pathlib.Path) -> int:
  """Returns the step of the last line of a log; 0 if there is none."""
  if not path.exists():
    return 0
  with path.open("rb") as file:
    file.seek(max(file.seek(0, os.SEEK_END) - 2**20, 0))
    steps = re.findall(rb'^\{"step": (\d+)', file.read(), re.MULTILINE)
  return int(steps[-1]) if steps else 0


def table(states: Sequence[State]) -> rich.table.Table:
  """Returns the states as a table with a caption of their numbers."""
  counts = {
      name: sum(state.state == name for state in states)
      for name in (FINISHED, RUNNING, FREE)
  }
  caption = ", ".join(f"{count} {name}" for name, count in counts.items())
  grid = rich.table.Table(caption=caption, box=rich.box.SIMPLE)
  for column in State._fields:
    grid.add_column(column, justify="right" if column == "steps" else "left")
  for state in states:
    grid.add_row(*state)
  return grid


def watch(
    find: Callable[[], Sequence[State]],
    console: rich.console.Console,
    seconds: float = 5.0,
) -> None:
  """Shows the states until all points are finished.

  Args:
    find: returns the current states.
    console: a terminal; elsewhere, the states are printed once.
    seconds: the time between two updates.
  """
  states = find()
  if not console.is_terminal:
    console.print(table(states))
    return
  with rich.live.Live(table(states), console=console) as live:
    while any(state.state != FINISHED for state in states):
      time.sleep(seconds)
      states = find()
      live.update(table(states))
