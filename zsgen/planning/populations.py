"""How many members a population has: as many as are a gain, and as fit."""

import math
from typing import Any, NamedTuple

import jax
import numpy as np

from zsgen.core import chips
from zsgen.core import config as config_lib
from zsgen.planning import aot
from zsgen.train import (
    compiling,
    flops,
    job,
    layouts,
    memory,
    optimizer,
    remaking,
    shape_search,
)

# Seconds of a step at a chip's peak rate after which more members are no gain.
# A step starts hundreds of kernels, of microseconds each, and its small products
# are far from the peak: that is milliseconds, which members share.
_FILLED = 0.01
# The part of the memory that a step may take. The rest is for evaluations.
_PART = 0.8


class Limit(NamedTuple):
  """The most members of a population.

  Attributes:
    members: their number.
    reason: why a member should be alone, as half a sentence; otherwise "".
  """

  members: int
  reason: str


def find_obstacle(config: config_lib.Config, mesh: jax.sharding.Mesh) -> str:
  """Returns why no population is a gain, as half a sentence; otherwise "".

  Args:
    config: of a member, whose store and order need not be there.
    mesh: its devices.
  """
  device = mesh.devices.flat[0]
  if remaking.is_set(config.order):
    return "its order is remade"
  if mesh.shape["data"] != mesh.size:
    return "config.machine.mesh splits more than data"
  if device.platform == "cpu":
    return "on CPUs, a program of several is not faster"
  if chips.find_chip(device.device_kind) is None:
    return (
        f"the peak rate of {device.device_kind} is unknown; set"
        " config.population to a number"
    )
  return ""


def find_gain(member: job.Member) -> Limit:
  """Returns the most members that are a gain, 1 if a member should be alone.

  They fill the devices, by the FLOPs of the mathematics at the peak rate.

  Args:
    member: one of them; nothing is compiled. `find_obstacle` finds nothing.
  """
  mesh = member.program.mesh
  chip = chips.find_chip(mesh.devices.flat[0].device_kind)
  assert chip is not None, "find_obstacle finds unknown chips"
  seconds = _flops_per_step(member) / chip.flops
  if seconds / mesh.size >= _FILLED:
    return Limit(1, f"its steps fill {chip.name}")
  count = max(1, int(_FILLED / seconds)) * mesh.size
  return Limit(count, "")


def _count_flops(member: job.Member) -> flops.Flops:
  """Counts the FLOPs of a member's model."""
  program = member.program
  return flops.count_flops(
      member.start.arch, program.shapes.params, program.frozen_shapes
  )


def _flops_per_step(member: job.Member) -> float:
  """Returns the model FLOPs of a step, the mean of all."""
  tokens, loss = member.lengths
  return _count_flops(member).step(tokens, int(loss.sum())) / member.steps


class Use(NamedTuple):
  """The memory of a population.

  Attributes:
    used: bytes on each device that its most expensive step takes; infinite if
      the compiler itself ran out of the device's memory.
    room: bytes of each device that it may take; infinite if unknown.
  """

  used: float
  room: float

  @property
  def is_enough(self) -> bool:
    """Whether the device has room for the step."""
    return self.used < math.inf and self.used <= self.room

  def trim(self, members: int) -> int:
    """Returns how many of `members` fit, half of them if unknown; 1 or more."""
    if self.used == math.inf:
      return max(1, members // 2)
    return max(1, min(members, int(members * self.room / self.used)))

  def describe(self) -> str:
    """Describes both, for people."""
    used, room = self.used / 2**30, self.room / 2**30
    limit = f" of {room:.3g}" if room < math.inf else ""
    return f"{used:.3g}{limit} GiB of each device"


def find_room(mesh: jax.sharding.Mesh) -> float:
  """Returns the bytes of each device that a population may take.

  They are infinite if the platform does not report its memory.
  """
  return _PART * memory.find_room(mesh)


def measure(joined: job.Job) -> Use:
  """Compiles the most expensive step of a population, as training does.

  Args:
    joined: the population; nothing is allocated.
  """
  program, config = joined.program, joined.config
  count, planned = len(joined.members), joined.layouts
  cost = shape_search.cost_of(_count_flops(joined.members[0]))
  shape = cost.most_expensive(planned)
  batch = layouts.batch_shapes(shape, planned.split, config.train.batch_size)
  number: Any = jax.ShapeDtypeStruct((count,), np.float32)
  hyper = optimizer.Hyper(*[number] * len(optimizer.Hyper._fields))
  traced = compiling.trace(program, batch, hyper, count)
  room = find_room(program.mesh)
  try:
    _, used, _ = aot.compile_step(traced, program.mesh, int(min(room, 2**62)))
  except jax.errors.JaxRuntimeError as error:
    # A GPU's compiler times kernels on the device.
    if not memory.is_exhausted(error):
      raise
    return Use(math.inf, room)
  return Use(used, room)
