"""Trains the points of a sweep, which many jobs may share.

A job is one process, or several that train each point together. Of these,
process 0 claims points and writes notes, and the others follow it.
"""

from collections.abc import Sequence
import contextlib
import dataclasses
import os
import pathlib
import time

import rich.console

from launch import claims
from zsgen.core import config as config_lib
from zsgen.core import hosts, storage
from zsgen.reports import notes

# Seconds after which a process that has nothing to train looks again.
_POLL = 10.0


@dataclasses.dataclass(frozen=True)
class Sweep:
  """The points of a sweep in a workdir.

  Attributes:
    workdir: the directory of all artifacts, local or in a bucket.
    directory: `sweeps/NAME` in it; of one in a bucket, the local copy.
    points: names and configs.
    console: where lines for people go.
  """

  workdir: str | os.PathLike
  directory: pathlib.Path
  points: Sequence[tuple[str, config_lib.Config]]
  console: rich.console.Console

  @property
  def configs(self) -> list[config_lib.Config]:
    """The configs of all points."""
    return [config for _, config in self.points]

  def is_finished(self, index: int) -> bool:
    """Returns whether a point has a finished run."""
    return notes.find_run(self.directory, self.points[index][0]) is not None

  def announce(self, index: int, words: str = "") -> None:
    """Prints a line about a point."""
    self.console.print(
        f"point {index}: {self.points[index][0]} ({index + 1} of"
        f" {len(self.points)}){words}"
    )


def train_point(sweep: Sweep, index: int) -> None:
  """Trains one point, unless it is finished; all processes of a job call it.

  Raises:
    InputError: another job trains it.
  """
  with contextlib.ExitStack() as stack:
    due = []
    if hosts.is_first():
      _hold(sweep, index, stack, waits=True)
      due = [] if sweep.is_finished(index) else [index]
      sweep.announce(index, "" if due else ", already finished")
    _train_together(sweep, hosts.broadcast("point", due))


def train(sweep: Sweep) -> None:
  """Trains all points that are not finished; all processes of a job call it.

  Points that another job trains are left to it; at the end, this job waits for
  them, and trains those that it gives up.
  """
  queue = _Queue(sweep) if hosts.is_first() else None
  while True:
    with contextlib.ExitStack() as stack:
      claimed = queue.claim(stack) if queue else []
      due = hosts.broadcast("points", claimed)
      if not due:
        return
      _train_together(sweep, due)


class _Queue:
  """The points that are not finished, as process 0 of a job sees them."""

  def __init__(self, sweep: Sweep):
    self._sweep = sweep
    if not claims.has_locks(sweep.directory):
      sweep.console.print(
          f"{sweep.workdir} is on a file system without locks: start this sweep"
          " only once, or give each job its own --point"
      )
    self._remaining = []
    for index in range(len(sweep.points)):
      if sweep.is_finished(index):
        sweep.announce(index, ", already finished")
      else:
        self._remaining.append(index)

  def claim(self, stack: contextlib.ExitStack) -> list[int]:
    """Claims points, as soon as there are any that no other job trains.

    Args:
      stack: gives the claims back when it is closed.

    Returns:
      At most as many points as a population has; [] once all are finished.
    """
    is_waiting = False
    while self._remaining:
      if claimed := self._claim_free(stack):
        return claimed
      self._drop_finished()
      if self._remaining and not is_waiting:
        names = ", ".join(self._sweep.points[i][0] for i in self._remaining)
        self._sweep.console.print(f"waits for what others train: {names}")
        is_waiting = True
      if self._remaining:
        time.sleep(_POLL)
    return []

  def _claim_free(self, stack: contextlib.ExitStack) -> list[int]:
    """Claims points that are neither finished nor claimed now."""
    claimed: list[int] = []
    for index in self._remaining:
      if len(claimed) == self._sweep.points[index][1].population:
        break
      with contextlib.suppress(storage.Held):
        _hold(self._sweep, index, stack)
        if not self._sweep.is_finished(index):  # Meanwhile, by another job.
          self._sweep.announce(index)
          claimed.append(index)
    return claimed

  def _drop_finished(self) -> None:
    """Keeps the points that are not finished."""
    self._remaining = [
        index for index in self._remaining if not self._sweep.is_finished(index)
    ]


def _hold(
    sweep: Sweep,
    index: int,
    stack: contextlib.ExitStack,
    waits: bool = False,
) -> None:
  """Claims a point until the stack is closed; see `claims.hold`."""
  name, config = sweep.points[index]
  seconds = config.machine.lease
  stack.enter_context(claims.hold(sweep.directory, name, seconds, waits))


def _train_together(sweep: Sweep, indices: Sequence[int]) -> None:
  """Trains points, several as one program, and notes where their runs are."""
  from zsgen import pipeline  # After flags: --help and typos answer at once.

  if not indices:
    return
  configs = [sweep.points[index][1] for index in indices]
  runs = pipeline.run_population(configs, sweep.workdir)
  if not hosts.is_first():
    return
  for index, run in zip(indices, runs, strict=True):
    note = sweep.directory / "points" / f"{sweep.points[index][0]}.json"
    notes.write_run(note, os.path.relpath(run, sweep.directory.parents[1]))
