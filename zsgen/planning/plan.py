"""What a training step would need on a place, before anything is there.

Parameters are shapes all along: nothing is ever held. Where programs can be
compiled for the place, the step is, and what the compiler allocates and sends
is read from it; else states are counted, and with them what the backward pass
keeps at the least.
"""

from typing import NamedTuple

import jax
import numpy as np

from zsgen.core import config as config_lib
from zsgen.core import mesh as mesh_lib
from zsgen.planning import aot, needs, products, topology
from zsgen.train import batches, flops, memory, starts
from zsgen.train import program as program_lib


class Plan(NamedTuple):
  """What a step needs.

  Attributes:
    place: where.
    mesh: its devices by axis.
    rows: of a step.
    length: tokens of a row.
    parameters: by kind.
    states: bytes by what they are for.
    kept: bytes that the backward pass needs from the forward pass, at the
      least, on each device; counted where nothing can be compiled.
    model_flops: of a step whose rows are each one example, by the mathematics.
    flops: of the same step as traced, repetitions counted.
    compiled: None where nothing can be compiled, or it does not fit.
    used: bytes on each device, as the compiler says or else at the least.
    limit: bytes that each device has; 0 if not known.
    remedies: options that need less memory, where it does not fit.
  """

  place: topology.Place
  mesh: jax.sharding.Mesh
  rows: int
  length: int
  parameters: list[needs.Parameter]
  states: needs.States
  kept: int
  model_flops: int
  flops: int
  compiled: aot.Compiled | None
  used: int
  limit: int
  remedies: list[str]

  @property
  def fits(self) -> bool:
    """Whether each device has the memory; so it is said if not known.

    The TPU's compiler stops where memory is short, and finds room where sums
    of what it says are a little above what there is.
    """
    if self.compiled and self.place.devices[0].platform == "tpu":
      return True
    return not self.limit or self.used <= self.limit

  @property
  def bounds(self) -> dict[str, float]:
    """Seconds of a step at the least, by what takes them; {} if not known.

    All products at the peak rate; parameters and moments read and written
    once; what is received over all links together. The largest is a lower
    bound of the step, the sum what it would be with no overlap.
    """
    chip, devices = self.place.chip, self.mesh.size
    if chip is None:
      return {}
    moved = 2 * (self.states.weights + self.states.moments) + self.states.frozen
    found = {
        "products": self.flops / devices / chip.flops,
        "memory": moved / chip.bandwidth,
    }
    if self.compiled:
      each = self.compiled.collectives.values()
      found["links"] = sum(one.received for one in each) / chip.links
    return found


def make(
    config: config_lib.Config, start: starts.Start, place: topology.Place
) -> Plan:
  """Plans a step.

  Args:
    config: of the run; `config.plan` says its rows.
    start: shapes of its parameters.
    place: where.

  Raises:
    InputError: a mesh or model that does not go with the place.
  """
  mesh = mesh_lib.make(config.machine.mesh, place.devices)
  program = program_lib.make(config, start, mesh)
  rows, length = shape_of(config, mesh)
  traced = program.step.trace(*needs.arguments(config, program, rows, length))
  states = needs.states(program, config.machine.micro_batches)
  compiled, kept, limit = None, 0, place.chip.memory if place.chip else 0
  if place.compiles:
    compiled, used, limit = aot.compiled(traced, mesh, limit)
  else:
    kept = needs.kept(config, program, rows, length)
    used = sum(states) + kept
  model_flops, attention = _model_flops(start, rows, length)
  counted = products.flops(traced.jaxpr)
  if products.opaque(traced.jaxpr):
    counted += attention  # The only kernel that there is.
  return Plan(
      place=place,
      mesh=mesh,
      rows=rows,
      length=length,
      parameters=needs.parameters(program),
      states=states,
      kept=kept,
      model_flops=model_flops,
      flops=counted,
      compiled=compiled,
      used=used,
      limit=limit,
      remedies=memory.remedies(config, mesh, rows),
  )


def _model_flops(
    start: starts.Start, rows: int, length: int
) -> tuple[int, int]:
  """Model FLOPs of a step of full rows: all of them, and attention's."""
  counted = flops.of(start.arch, start.shapes, start.frozen_shapes)
  lengths = np.full(rows, length)
  total = counted.step(lengths)
  return total, total - counted._replace(width=0).step(lengths)


def shape_of(
    config: config_lib.Config, mesh: jax.sharding.Mesh
) -> tuple[int, int]:
  """Rows of a step and tokens of a row: the config's, or all that it can need.

  That is a row for each example, and the longest example in each.
  """
  parts = mesh_lib.row_shards(mesh) * config.machine.micro_batches
  rows = config.plan.rows or config.train.batch_size
  length = config.plan.length or config.data.max_length
  return (
      -(-rows // parts) * parts,
      -(-length // batches.LENGTH_STEP) * batches.LENGTH_STEP,
  )
