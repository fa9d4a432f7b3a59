"""What a training step would need on a place, before anything is there.

Parameters are shapes all along: nothing is ever held. Where programs can be
compiled for the place, the step is, and what the compiler allocates and sends
is read from it; else states are counted, and with them what the backward pass
keeps at the least.
"""

import math
import re
import time
from typing import Any, NamedTuple

import jax
import jax.extend
import numpy as np

from zsgen import config as config_lib
from zsgen import mesh as mesh_lib
from zsgen import topology
from zsgen.models import lora as lora_lib
from zsgen.training import batches, flops, hlo, memory, optimizer, products
from zsgen.training import program as program_lib
from zsgen.training import start as start_lib

_LENGTH_STEP = 64
# What the TPU's compiler says of a program that does not fit.
_USED = re.compile(r"Used ([\d.]+)([KMGT]) of ([\d.]+)([KMGT]) hbm")
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


class Parameter(NamedTuple):
  """Parameters of one kind, such as those that blocks repeat by name.

  Attributes:
    name: path, with * for what differs.
    count: how many there are.
    shape: of each.
    dtype: its element type.
    spec: the mesh axis that splits each of its axes; None for none.
    bytes: of all of them on each device.
    trained: whether they are.
  """

  name: str
  count: int
  shape: tuple[int, ...]
  dtype: str
  spec: tuple[str | None, ...]
  bytes: int
  trained: bool


class States(NamedTuple):
  """Bytes on each device, by what they are for."""

  weights: int
  frozen: int
  moments: int
  gradients: int


class Compiled(NamedTuple):
  """What the compiler says of the step.

  Attributes:
    seconds: that it took to compile.
    held: bytes on each device between steps, the batch among them.
    temporary: bytes on each device during a step, gradients among them.
    copied: bytes of results that do not take the place of arguments.
    code: bytes of the program on each device.
    collectives: by kind, on each device.
  """

  seconds: float
  held: int
  temporary: int
  copied: int
  code: int
  collectives: dict[str, hlo.Collective]

  @property
  def total(self) -> int:
    """Bytes on each device at the most."""
    return self.held + self.temporary + self.copied + self.code


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
  parameters: list[Parameter]
  states: States
  kept: int
  model_flops: int
  flops: int
  compiled: Compiled | None
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
    config: config_lib.Config, start: start_lib.Start, place: topology.Place
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
  traced = program.step.trace(*_arguments(config, program, rows, length))
  states = _states(program, config.machine.micro_batches)
  compiled, kept, limit = None, 0, place.chip.memory if place.chip else 0
  if place.compiles:
    compiled, used, limit = _compile(traced, mesh, limit)
  else:
    kept = _kept(config, program, rows, length)
    used = sum(states) + kept
  counted = flops.of(start.arch, start.shapes, start.frozen_shapes)
  full = np.full(rows, length)
  return Plan(
      place=place,
      mesh=mesh,
      rows=rows,
      length=length,
      parameters=_parameters(program),
      states=states,
      kept=kept,
      model_flops=counted.step(full),
      flops=products.flops(traced.jaxpr),
      compiled=compiled,
      used=used,
      limit=limit,
      remedies=memory.remedies(config, mesh, rows),
  )


def shape_of(
    config: config_lib.Config, mesh: jax.sharding.Mesh
) -> tuple[int, int]:
  """Rows of a step and tokens of a row: the config's, or all that it can need.

  That is a row for each example, and the longest example in each.
  """
  parts = mesh_lib.row_shards(mesh) * config.machine.micro_batches
  rows = config.plan.rows or config.train.batch_size
  length = config.plan.length or config.data.max_length
  return -(-rows // parts) * parts, -(-length // _LENGTH_STEP) * _LENGTH_STEP


def _arguments(
    config: config_lib.Config,
    program: program_lib.Program,
    rows: int,
    length: int,
) -> tuple[Any, ...]:
  """Shapes of what a step takes."""
  whole = jax.ShapeDtypeStruct((rows, length), np.int32)
  slots = jax.ShapeDtypeStruct((config.train.batch_size,), np.int32)
  batch = batches.Batch(
      tokens=whole,
      positions=whole,
      segments=whole,
      mask=jax.ShapeDtypeStruct((rows, length), np.float32),
      ids=slots,
      lengths=slots,
  )
  scalar = jax.ShapeDtypeStruct((), np.float32)
  hyper = optimizer.Hyper(*[scalar] * len(optimizer.Hyper._fields))
  return program.shapes, program.frozen_shapes, batch, hyper


def _states(program: program_lib.Program, parts: int) -> States:
  weights = memory.per_device(program.shapes.params, program.shardings.params)
  return States(
      weights=weights,
      frozen=memory.per_device(program.frozen_shapes, program.frozen_shardings),
      moments=memory.per_device(
          program.shapes.moments, program.shardings.moments
      ),
      # Those of a micro-batch, and the sum.
      gradients=weights * min(parts, 2),
  )


def _compile(
    traced: Any, mesh: jax.sharding.Mesh, limit: int
) -> tuple[Compiled | None, int, int]:
  """The compiled step, bytes used, and bytes that there are.

  There is no compiled step where the compiler gave up for want of memory.
  """
  begin = time.monotonic()
  try:
    made = traced.lower().compile()
  except jax.errors.JaxRuntimeError as error:
    found = _USED.search(str(error))
    if not found:
      raise
    used, unit, there, there_unit = found.groups()
    return (
        None,
        int(float(used) * _UNITS[unit]),
        int(float(there) * _UNITS[there_unit]),
    )
  seconds, found = time.monotonic() - begin, made.memory_analysis()
  compiled = Compiled(
      seconds=seconds,
      held=found.argument_size_in_bytes,
      temporary=found.temp_size_in_bytes,
      copied=found.output_size_in_bytes - found.alias_size_in_bytes,
      code=found.generated_code_size_in_bytes,
      collectives=hlo.collectives(made.as_text(), mesh.size),
  )
  return compiled, compiled.total, limit


def _kept(
    config: config_lib.Config,
    program: program_lib.Program,
    rows: int,
    length: int,
) -> int:
  """Bytes on each device that a micro-batch keeps for its backward pass."""

  def backward(params: Any, frozen: Any, batch: batches.Batch) -> Any:
    def loss(trained: Any) -> jax.Array:
      joined = lora_lib.join(trained, frozen)
      return program.model.token_nll(joined, batch).sum()

    return jax.vjp(loss, params)[1]

  part = rows // config.machine.micro_batches
  state, frozen, batch, _ = _arguments(config, program, part, length)
  jaxpr = jax.make_jaxpr(backward)(state.params, frozen, batch).jaxpr
  given = {id(each) for each in jaxpr.invars}
  kept = {
      id(each): each.aval
      for each in jaxpr.outvars
      if isinstance(each, jax.extend.core.Var)
  }
  sizes = [
      math.prod(aval.shape) * aval.dtype.itemsize
      for key, aval in kept.items()
      if key not in given
  ]
  return sum(sizes) // mesh_lib.row_shards(program.mesh)


def _parameters(program: program_lib.Program) -> list[Parameter]:
  """Parameters, those of one kind together."""
  found: dict[tuple, Parameter] = {}
  for trained, shapes, shardings in (
      (True, program.shapes.params, program.shardings.params),
      (False, program.frozen_shapes, program.frozen_shardings),
  ):
    leaves = jax.tree_util.tree_leaves_with_path(shapes)
    for (path, leaf), place in zip(
        leaves, jax.tree.leaves(shardings), strict=True
    ):
      name = jax.tree_util.keystr(path, simple=True, separator="/")
      name = re.sub(r"\d+", "*", name)
      size = memory.per_device(leaf, place)
      key = (name, leaf.shape, place.spec, trained)
      before = found.get(key)
      found[key] = Parameter(
          name=name,
          count=1 + (before.count if before else 0),
          shape=leaf.shape,
          dtype=leaf.dtype.name,
          spec=tuple(place.spec),
          bytes=size + (before.bytes if before else 0),
          trained=trained,
      )
  return list(found.values())
