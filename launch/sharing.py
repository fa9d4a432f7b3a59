"""Trains the points of a sweep, which many processes may share."""

from collections.abc import Iterable, Sequence
import contextlib
import dataclasses
import os
import pathlib
import time

import rich.console

from launch import claims
from zsgen.core import config as config_lib
from zsgen.core import hosts
from zsgen.reports import notes

# Seconds after which a process that has nothing to train looks again.
_POLL = 10.0


@dataclasses.dataclass(frozen=True)
class Sweep:
  """The points of a sweep in a workdir.

  Attributes:
    directory: `WORKDIR/sweeps/NAME`.
    points: names and configs.
    console: where lines for people go.
  """

  directory: pathlib.Path
  points: Sequence[tuple[str, config_lib.Config]]
  console: rich.console.Console

  @property
  def workdir(self) -> pathlib.Path:
    """The directory of all artifacts."""
    return self.directory.parents[1]

  def is_finished(self, index: int) -> bool:
    """Returns whether a point has a finished run."""
    return notes.find_run(self.directory, self.points[index][0]) is not None

  def announce(self, index: int, words: str = "") -> None:
    """Prints a line about a point."""
    self.console.print(
        f"point {index}: {self.points[index][0]} ({index + 1} of"
        f" {len(self.points)}){words}"
    )


def _is_single(sweep: Sweep) -> bool:
  """Returns whether the job has one process, so that it may claim points.

  Several processes train the same points together, without asking each other.
  """
  return hosts.is_single(sweep.points[0][1].machine.hosts)


def train_point(sweep: Sweep, index: int) -> None:
  """Trains one point, unless it is finished.

  Raises:
    InputError: another process trains it.
  """
  if not _is_single(sweep):
    _train_points(sweep, [index])
    return
  with claims.hold(sweep.directory, sweep.points[index][0]):
    _train_points(sweep, [index])


def train(sweep: Sweep) -> None:
  """Trains all points that are not finished.

  Points that another process trains are left to it; at the end, this process
  waits for them, and trains those that it gives up.
  """
  if _is_single(sweep):
    _share_points(sweep)
  else:
    _train_points(sweep, range(len(sweep.points)))


def _train_points(sweep: Sweep, indices: Iterable[int]) -> None:
  """Trains those points that are not finished."""
  due: list[tuple[str, config_lib.Config]] = []
  for index in indices:
    is_finished = sweep.is_finished(index)
    sweep.announce(index, ", already finished" if is_finished else "")
    due += [] if is_finished else [sweep.points[index]]
    if len(due) == sweep.points[index][1].population:
      _train_together(sweep, due)
      due = []
  if due:
    _train_together(sweep, due)


def _share_points(sweep: Sweep) -> None:
  """Trains points that no other process trains, until all are finished."""
  if not claims.has_locks(sweep.directory):
    sweep.console.print(
        f"{sweep.workdir} is on a file system without locks: start this sweep"
        " only once, or give each process its own --point"
    )
  remaining = []
  for index in range(len(sweep.points)):
    if sweep.is_finished(index):
      sweep.announce(index, ", already finished")
    else:
      remaining.append(index)
  is_waiting = False
  while remaining:
    trained = _train_free(sweep, remaining)
    remaining = [index for index in remaining if not sweep.is_finished(index)]
    if remaining and not trained:
      if not is_waiting:
        names = ", ".join(sweep.points[index][0] for index in remaining)
        sweep.console.print(f"waits for what others train: {names}")
      time.sleep(_POLL)
    is_waiting = not trained


def _train_free(sweep: Sweep, indices: Sequence[int]) -> bool:
  """Trains points that are free, as many as a population has.

  Returns:
    Whether there were any.
  """
  with contextlib.ExitStack() as stack:
    due = _claim(sweep, indices, stack)
    for index in due:
      sweep.announce(index)
    if due:
      _train_together(sweep, [sweep.points[index] for index in due])
  return bool(due)


def _claim(
    sweep: Sweep, indices: Sequence[int], stack: contextlib.ExitStack
) -> list[int]:
  """Claims points that are free, at most as many as a population has.

  Args:
    sweep: the sweep.
    indices: points that were not finished a moment ago.
    stack: gives the claims back when it is closed.

  Returns:
    The points; finished ones are not among them.
  """
  claimed: list[int] = []
  for index in indices:
    name, config = sweep.points[index]
    if len(claimed) == config.population:
      break
    try:
      stack.enter_context(claims.hold(sweep.directory, name))
    except claims.Held:
      continue
    if not sweep.is_finished(index):  # Meanwhile, by another process.
      claimed.append(index)
  return claimed


def _train_together(
    sweep: Sweep, due: Sequence[tuple[str, config_lib.Config]]
) -> None:
  """Trains points, several as one program, and notes where their runs are."""
  from zsgen import pipeline  # After flags: --help and typos answer at once.

  names, configs = zip(*due, strict=True)
  runs = pipeline.run_population(configs, sweep.workdir)
  for name, path in zip(names, runs, strict=True):
    note = sweep.directory / "points" / f"{name}.json"
    notes.write_run(note, os.path.relpath(path, sweep.workdir))
