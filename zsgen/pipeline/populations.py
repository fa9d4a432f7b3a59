"""Chooses the points of a sweep that are trained as one program."""

from collections.abc import Callable
import pathlib
from typing import NamedTuple

from zsgen.core import artifacts
from zsgen.core import config as config_lib
from zsgen.core import mesh as mesh_lib
from zsgen.pipeline import checks, train
from zsgen.pipeline.experiment import Experiment
from zsgen.planning import populations as planning
from zsgen.train import checkpoints, job, population, record_digests

# `config.population` for as many members as there is room for.
AUTOMATIC = -1


class Choice(NamedTuple):
  """The members of a population.

  Attributes:
    count: their number: the first candidate and those that follow it.
    reason: why they are not more, as half a sentence; "" if they are as many as
      `config.population` says.
  """

  count: int
  reason: str


class Candidates:
  """Points that fit into one program, in the order in which they come.

  Args:
    first: the config that the others must fit; its store and order are made,
      unless its options alone say that it must be alone.
    open_experiment: opens a config in the workdir.

  Attributes:
    limit: the most members; 1 if the first must be alone.

  Raises:
    InputError: something is wrong with the first; or `config.population` does
      not suit its devices.
  """

  def __init__(
      self,
      first: config_lib.Config,
      open_experiment: Callable[[config_lib.Config], Experiment],
  ):
    self._open = open_experiment
    self._is_automatic = first.population == AUTOMATIC
    self._members: list[job.Member] = []
    self.limit, self._reason = 1, ""
    if self._is_automatic:
      mesh = mesh_lib.make(first.machine.mesh)
      self._reason = planning.find_obstacle(first, mesh)
    if not self._reason:
      self._begin(first)

  def _begin(self, first: config_lib.Config) -> None:
    """Makes the first member, and finds the limit."""
    self._first = self._open(first)
    self._members = [_make_member(self._first)]
    limit = first.population
    if _has_begun(self._members[0].path):
      limit, self._reason = 1, "it has begun on its own"
    elif self._is_automatic:
      limit, self._reason = planning.find_gain(self._members[0])
    else:
      population.sharding(self._members[0].program.mesh, limit)
    self.limit = limit

  @property
  def is_full(self) -> bool:
    """Whether there are as many as there may be."""
    return self.limit == 1 or len(self._members) >= self.limit

  def add(self, config: config_lib.Config) -> bool:
    """Adds a point, if it fits into the program and has not begun alone.

    Args:
      config: its store and order are made, unless its options differ too much.

    Returns:
      Whether it was added.

    Raises:
      InputError: something is wrong with its options, store or order.
    """
    if self.is_full:
      return False
    first, experiment = self._members[0], self._open(config)
    if job.find_config_difference(first.config, experiment.config):
      return False
    member = _make_member(experiment)
    if job.find_difference(first, member) or member.remake:
      return False
    if _has_begun(member.path):
      return False
    self._members.append(member)
    return True

  def choose(self) -> Choice:
    """Returns how many of the points are trained as one program.

    They are a multiple of the devices. If their number is chosen automatically,
    the program is compiled, and fewer are chosen until it fits.
    """
    if self.limit == 1:
      return Choice(1, self._reason)
    count = self._multiple(len(self._members))
    if count == 1 or not self._is_automatic:
      return Choice(count, self._describe_shortage(count))
    count = self._bound_states(count)
    while count > 1:
      path = self._first.workdir / "populations"
      members = self._members[:count]
      joined = train.join(path, members, self._first.console.log)
      with self._first.console.status("population"):
        use = planning.measure(joined)
      if use.is_enough:
        return Choice(count, use.describe())
      count = self._multiple(min(use.trim(count), count - 1))
    return Choice(1, "the devices have room for no other")

  def _bound_states(self, count: int) -> int:
    """Returns how many have room for parameters and moments, at the most."""
    program = self._members[0].program
    per_device = planning.find_room(program.mesh) / program.state_bytes
    # The room may be infinite.
    return self._multiple(int(min(count, per_device * program.mesh.size)))

  def _multiple(self, count: int) -> int:
    """Returns the most members up to `count` that the devices divide; or 1."""
    size = self._members[0].program.mesh.size
    return max(1, count // size * size)

  def _describe_shortage(self, count: int) -> str:
    """Returns why there are not as many as `config.population` says."""
    if count < len(self._members):
      return "the number of members is a multiple of that of the devices"
    return "" if self.is_full else "no other free point has its shape"


def _make_member(experiment: Experiment) -> job.Member:
  """Returns a member, of which all options are checked."""
  checks.check_order(experiment.config)
  checks.check_vocabulary(experiment.config)
  checks.check_evaluators(experiment.config)
  return train.make_member(experiment)


def _has_begun(run: pathlib.Path) -> bool:
  """Returns whether a run has begun on its own, or is finished.

  It has a directory for checkpoints then; a member has one as soon as it has a
  checkpoint of the steps to keep.
  """
  return checkpoints.are_in(run) or artifacts.is_file(
      run / record_digests.RESULT
  )
