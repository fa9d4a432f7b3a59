"""Plans a training step for given hardware, without running it.

Only shapes of parameters are used. If programs can be compiled for the
hardware, the step is compiled, and the compiler's allocations and communication
are read from it. Otherwise the plan counts the states and a lower bound of what
the backward pass saves.
"""

import math
from typing import NamedTuple

import jax
import numpy as np

from zsgen.core import config as config_lib
from zsgen.core import mesh as mesh_lib
from zsgen.models import model as model_lib
from zsgen.planning import aot, needs, products, roofline, topology
from zsgen.train import (
    flops,
    layout_plan,
    layouts,
    memory,
    shape_search,
    starts,
)
from zsgen.train import program as program_lib


class Plan(NamedTuple):
  """The requirements of a step.

  Attributes:
    hardware: the hardware that the plan is for.
    mesh: the devices by axis.
    shape: the shape of a step's batch.
    groups: number of row groups (`layouts.Split`).
    parameters: parameters by kind.
    states: bytes by purpose.
    residual_bytes: lower bound of the bytes on each device that the forward
      pass saves for the backward pass; only if nothing can be compiled.
    model_flops: FLOPs of the mathematics, for a step with one example per row.
    head_flops: those of the head, which are among them.
    flops: FLOPs of the same step as traced, including recomputation.
    compiled: the compiler's analysis; None if nothing can be compiled or the
      step does not fit.
    used: bytes on each device, by the compiler or as a lower bound.
    limit: memory of each device in bytes; 0 if unknown.
    remedies: options that need less memory, if the step does not fit.
    planned: the layouts of all steps, if the order is known.
    rooflines: those of this mesh and of the one without `context`, if positions
      are split and the chip is known.
  """

  hardware: topology.Hardware
  mesh: jax.sharding.Mesh
  shape: layouts.Shape
  groups: int
  parameters: list[needs.Parameter]
  states: needs.States
  residual_bytes: int
  model_flops: int
  head_flops: int
  flops: int
  compiled: aot.Compiled | None
  used: int
  limit: int
  remedies: list[str]
  planned: layouts.Layouts | None = None
  rooflines: tuple[roofline.Roofline, ...] = ()

  @property
  def fits(self) -> bool:
    """Whether the step fits into the memory of each device, or that is unknown.

    The TPU's compiler stops if memory is short, and may succeed even if the sum
    of its numbers is slightly above the limit.
    """
    if self.compiled and self.hardware.devices[0].platform == "tpu":
      return True
    return not self.limit or self.used <= self.limit

  @property
  def bounds(self) -> dict[str, float]:
    """Lower bounds of the seconds per step, by bottleneck; {} if unknown.

    Assumes all products at the peak rate, one read and one write of parameters
    and moments, and communication over all links. The largest is a lower bound
    of the step; the sum is the time without overlap.
    """
    chip, devices = self.hardware.chip, self.mesh.size
    if chip is None:
      return {}
    moved = 2 * (self.states.weights + self.states.moments) + self.states.frozen
    seconds = {
        "products": self.flops / devices / chip.flops,
        "memory": moved / chip.bandwidth,
    }
    if self.compiled:
      collectives = self.compiled.collectives.values()
      received = sum(collective.received for collective in collectives)
      seconds["links"] = received / chip.links
    return seconds


def make(
    config: config_lib.Config,
    start: starts.Start,
    hardware: topology.Hardware,
    lengths: layouts.Lengths | None = None,
) -> Plan:
  """Plans a step.

  Args:
    config: the config of the run; `config.plan` has its rows.
    start: the shapes of its parameters.
    hardware: the hardware to plan for.
    lengths: the examples of the order, if it is known: the step has the most
      expensive of its shapes.

  Raises:
    InputError: the mesh or the model does not suit the hardware.
  """
  mesh = mesh_lib.make(config.machine.mesh, hardware.devices)
  program = program_lib.make(config, start, mesh)
  split = layouts.split_on(mesh, config.machine.micro_batches)
  planned, shape = None, shape_of(config, split)
  if lengths is not None:
    planned, shape = _layouts(config, start, split, lengths)
  arguments = needs.arguments(config, program, shape, split)
  traced = program.step.trace(*arguments)
  states = needs.states(program, config.machine.micro_batches)
  compiled, residual_bytes, limit = (
      None,
      0,
      hardware.chip.memory if hardware.chip else 0,
  )
  if hardware.compiles:
    compiled, used, limit = aot.compile_step(traced, mesh, limit)
  else:
    residual_bytes = needs.residual_bytes(config, program, shape)
    used = sum(states) + residual_bytes
  needed = _model_flops(start, shape, split.groups)
  counted = products.flops(traced.jaxpr)
  if products.opaque(traced.jaxpr):
    counted += needed.attention  # Attention is the only kernel.
  return Plan(
      hardware=hardware,
      mesh=mesh,
      shape=shape,
      groups=split.groups,
      parameters=needs.parameters(program),
      states=states,
      residual_bytes=residual_bytes,
      model_flops=needed.total,
      head_flops=needed.head,
      flops=counted,
      compiled=compiled,
      used=used,
      limit=limit,
      remedies=memory.remedies(config, mesh, shape),
      planned=planned,
      rooflines=_rooflines(config, start, program, hardware, lengths),
  )


def _rooflines(
    config: config_lib.Config,
    start: starts.Start,
    program: program_lib.Program,
    hardware: topology.Hardware,
    lengths: layouts.Lengths | None,
) -> tuple[roofline.Roofline, ...]:
  """Returns the rooflines of a mesh that splits positions, and of none."""
  mesh, chip = program.mesh, hardware.chip
  if chip is None or mesh_lib.position_shards(mesh) == 1:
    return ()
  state = program.shapes
  work = roofline.Work(
      flops.count_flops(start.arch, start.shapes, start.frozen_shapes),
      start.arch,
      config.machine.remat,
      model_lib.parameter_count(start.shapes),
      model_lib.parameter_count(start.frozen_shapes),
      sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state)),
  )
  results = []
  for shape in (mesh, mesh_lib.with_whole_rows(mesh)):
    split = layouts.split_on(shape, config.machine.micro_batches)
    if lengths is None:
      planned = roofline.single_shape(shape_of(config, split), split)
    else:
      planned, _ = _layouts(config, start, split, lengths)
    sizes = dict(shape.shape)
    results.append(roofline.estimate(work, sizes, chip, planned))
  return tuple(results)


def _layouts(
    config: config_lib.Config,
    start: starts.Start,
    split: layouts.Split,
    lengths: layouts.Lengths,
) -> tuple[layouts.Layouts, layouts.Shape]:
  """Returns the layouts of a known order, and the most expensive shape."""
  counted = flops.count_flops(start.arch, start.shapes, start.frozen_shapes)
  cost = shape_search.cost_of(counted)
  size, limit = config.train.batch_size, config.machine.layouts
  planned = layout_plan.plan([lengths], size, split, limit, cost)
  return planned, cost.most_expensive(planned)


class _ModelFlops(NamedTuple):
  """Model FLOPs of a step: all, and parts of them."""

  total: int
  head: int
  attention: int


def _model_flops(
    start: starts.Start, shape: layouts.Shape, groups: int
) -> _ModelFlops:
  """Returns the model FLOPs of a step of full rows, all loss slots used."""
  counted = flops.count_flops(start.arch, start.shapes, start.frozen_shapes)
  lengths = np.full(shape.rows, shape.length)
  loss_tokens = groups * shape.loss_slots
  total = counted.step(lengths, loss_tokens)
  without = counted._replace(width=0).step(lengths, loss_tokens)
  return _ModelFlops(total, counted.head * loss_tokens, total - without)


def shape_of(config: config_lib.Config, split: layouts.Split) -> layouts.Shape:
  """Returns the shape of the batch of a step.

  It is the config's, or the largest possible: a row for each example, as long
  as the longest example, and a loss slot for each token.
  """
  rows = config.plan.rows or config.train.batch_size
  rows = layouts.round_up(rows, split.row_step)
  length = config.plan.length or config.data.max_length
  layouts.check_context(split, length)
  shape = layouts.Shape(rows, split.round_length(length), 0)
  loss = math.ceil(config.plan.loss_share * split.positions(shape))
  return layouts.shape_for(rows, shape.length, split, loss)
