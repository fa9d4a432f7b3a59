"""What a step needs by its shapes alone: parameters, states, arguments."""

import math
import re
from typing import Any, NamedTuple

import jax
import jax.extend
import numpy as np

from zsgen.core import config as config_lib
from zsgen.core import mesh as mesh_lib
from zsgen.models import lora as lora_lib
from zsgen.train import batches, memory, optimizer
from zsgen.train import program as program_lib


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


def arguments(
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


def states(program: program_lib.Program, parts: int) -> States:
  """Bytes of states on each device, in a step of `parts` micro-batches."""
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


def kept(
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
  state, frozen, batch, _ = arguments(config, program, part, length)
  jaxpr = jax.make_jaxpr(backward)(state.params, frozen, batch).jaxpr
  given = {id(each) for each in jaxpr.invars}
  found = {
      id(each): each.aval
      for each in jaxpr.outvars
      if isinstance(each, jax.extend.core.Var)
  }
  sizes = [
      math.prod(aval.shape) * aval.dtype.itemsize
      for key, aval in found.items()
      if key not in given
  ]
  return sum(sizes) // mesh_lib.row_shards(program.mesh)


def parameters(program: program_lib.Program) -> list[Parameter]:
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
