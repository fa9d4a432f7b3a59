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
from zsgen.core import artifacts, storage
from zsgen.reports import notes
from zsgen.train import record_digests, records, run_copies

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
    directory: the directory of the sweep, `WORKDIR/sweeps/NAME`. Of one in a
      bucket, no other process may write the copy.
    points: their names.

  Raises:
    InputError: the note of a finished run is damaged.
  """
  return [_find_state(directory, point) for point in points]


def _find_state(directory: pathlib.Path, point: str) -> State:
  """Returns the state of a point: finished, running or free."""
  run = notes.find_run(directory, point)
  if run is not None:
    artifacts.fetch(run / artifacts.MANIFEST)
    return State(point, FINISHED, _steps(run), "")
  run = _unfinished(directory.parents[1] / "runs", point)
  holder = claims.holder(directory, point)
  # The command of a single run claims no point.
  is_running = holder or (run and records.is_trained(run))
  state = RUNNING if is_running else FREE
  return State(point, state, _steps(run) if run else "", holder)


def _unfinished(runs: pathlib.Path, point: str) -> pathlib.Path | None:
  """Returns the run of a point that was trained last and is not finished."""
  candidates = [
      run
      for run in storage.children(runs)
      if re.fullmatch(f"{re.escape(point)}-[0-9a-f]+", run.name)
      and artifacts.fetch(run / artifacts.MANIFEST)
      and not artifacts.is_file(run / record_digests.RESULT)
  ]
  return max(candidates, key=_begin, default=None)


def _begin(run: pathlib.Path) -> float:
  """Returns when a run was trained last, in seconds."""
  if mounted := storage.find(run / artifacts.MANIFEST):
    # Each start of a run writes its manifest to the bucket.
    written = mounted.bucket.modified(mounted.name)
    return written.timestamp() if written else 0.0
  return os.path.getmtime(run)


def _steps(run: pathlib.Path) -> str:
  """Returns the number of logged steps, and of all steps."""
  steps = artifacts.read_manifest(run)["steps"]
  log = run_copies.read_end(run, records.METRICS)
  logged = re.findall(rb'^\{"step": (\d+)', log, re.MULTILINE)
  return f"{int(logged[-1]) if logged else 0} of {steps}"


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
