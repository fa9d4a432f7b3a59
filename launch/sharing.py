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
from typing import Any, Self

import rich.console

from launch import claims
from zsgen.core import config as config_lib
from zsgen.core import errors, hosts, storage
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

  def print(self, line: str) -> None:
    """Prints a line for people."""
    self.console.print(line, markup=False)

  def announce(self, index: int, words: str = "") -> None:
    """Prints a line about a point."""
    self.console.print(
        f"point {index}: {self.points[index][0]} ({index + 1} of"
        f" {len(self.points)}){words}"
    )


def train_point(sweep: Sweep, index: int) -> None:
  """Trains one point, unless it is finished; all processes of a job call it.

  Raises:
    InputError: another job trains it, or it is a member of a population.
  """
  with contextlib.ExitStack() as stack:
    due = []
    if hosts.is_first():
      _hold(sweep, index, stack, waits=True)
      due = [] if sweep.is_finished(index) else [index]
      if due:
        _check_alone(sweep, index)
        _note_population(sweep, due)
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


def _check_alone(sweep: Sweep, index: int) -> None:
  """Raises InputError if a point is a member of a population that has begun."""
  members = _find_begun(sweep, index)
  if len(members) > 1:
    names = ", ".join(sweep.points[member][0] for member in members)
    raise errors.InputError(
        f"--point={index}: a population of {names} has begun. Resume it without"
        " --point, or set config.population=1 to train the point alone: from"
        " its newest checkpoint of config.machine.keep_steps, or from its"
        " beginning."
    )


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
    sweep = self._sweep
    own_claims = stack.enter_context(_Claims(sweep))
    for index in self._remaining:
      members = _find_begun(sweep, index)
      # A population is claimed with its first member, or not at all.
      if members[0] != index or not all(map(own_claims.take, members)):
        own_claims.keep([])
        continue
      if len(members) == 1 and sweep.points[index][1].population != 1:
        members = self._choose(index, own_claims)
      for member in members:
        sweep.announce(member)
      _note_population(sweep, members)
      return members
    return []

  def _choose(self, index: int, own_claims: "_Claims") -> list[int]:
    """Returns the members of a new population; all other claims are given back.

    Args:
      index: the first one, which is claimed.
      own_claims: the claims.
    """
    from zsgen import pipeline  # See `_train_together`.

    sweep = self._sweep
    _, config = sweep.points[index]
    if hosts.is_distributed():
      pipeline.check_processes(config.population)
      return [index]
    candidates = pipeline.find_members(config, sweep.workdir)
    members = [index]
    for candidate in self._remaining[self._remaining.index(index) + 1 :]:
      if candidates.is_full:
        break
      if self._is_free(candidate, config.population) and own_claims.take(
          candidate
      ):
        if self._add(candidates, candidate):
          members.append(candidate)
        else:
          own_claims.keep(members)
    count, reason = candidates.choose()
    members = members[:count]
    own_claims.keep(members)
    names = ", ".join(sweep.points[member][0] for member in members)
    program = f"{count} points as one program" if count > 1 else "alone"
    sweep.print(f"population: {names}: {program}{reason and f' ({reason})'}")
    return members

  def _is_free(self, index: int, population: int) -> bool:
    """Returns whether a point may join a population of this option."""
    is_alike = self._sweep.points[index][1].population == population
    return is_alike and _find_begun(self._sweep, index) == [index]

  def _add(self, candidates: Any, index: int) -> bool:
    """Adds a point to a population, unless its own turn will raise an error."""
    name, config = self._sweep.points[index]
    try:
      return candidates.add(config)
    except errors.InputError as error:
      self._sweep.print(f"population: {name} is left for later: {error}")
      return False

  def _drop_finished(self) -> None:
    """Keeps the points that are not finished."""
    self._remaining = [
        index for index in self._remaining if not self._sweep.is_finished(index)
    ]


class _Claims:
  """Claims of points, which are given back one by one, or at the end."""

  def __init__(self, sweep: Sweep):
    self._sweep = sweep
    self._stacks: dict[int, contextlib.ExitStack] = {}

  def __enter__(self) -> Self:
    return self

  def __exit__(self, *unused: object) -> None:
    self.keep([])

  def take(self, index: int) -> bool:
    """Returns whether a point is claimed now, and not finished."""
    with contextlib.ExitStack() as stack:
      try:
        _hold(self._sweep, index, stack)
      except storage.Held:
        return False
      if self._sweep.is_finished(index):  # Meanwhile, by another job.
        return False
      self._stacks[index] = stack.pop_all()
    return True

  def keep(self, indices: Sequence[int]) -> None:
    """Gives all claims back but those of some points."""
    for index in [index for index in self._stacks if index not in indices]:
      self._stacks.pop(index).close()


def _find_begun(sweep: Sweep, index: int) -> list[int]:
  """Returns the population that a point was trained in when it was stopped.

  It is resumed as it is: each member's bytes depend on all of them, and so does
  the name of its checkpoints.

  Args:
    sweep: the sweep.
    index: a point that is not finished.

  Returns:
    Indices of all members, ascending; only the point if it was trained alone, a
    member is finished, or `config.population` is less by now.
  """
  name, config = sweep.points[index]
  single, limit = [index], config.population
  if limit == 1:
    return single
  indices = {point: i for i, (point, _) in enumerate(sweep.points)}
  names = notes.find_population(sweep.directory, name)
  members = [indices[member] for member in names if member in indices]
  if len(members) < len(names) or 1 < limit < len(members):
    return single
  for member in members:
    if member != index and (
        sweep.is_finished(member)
        or notes.find_population(sweep.directory, sweep.points[member][0])
        != names
    ):
      return single
  return members


def _note_population(sweep: Sweep, members: Sequence[int]) -> None:
  """Notes which points are trained as one program from now on."""
  names = [sweep.points[member][0] for member in members]
  if any(
      notes.find_population(sweep.directory, name) != names for name in names
  ):
    notes.write_population(sweep.directory, names)


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
