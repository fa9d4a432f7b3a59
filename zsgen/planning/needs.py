"""Sizes of a step that follow from its shapes: parameters, states, arguments."""

import math
import re
from typing import Any, NamedTuple

import jax
import jax.extend
import numpy as np

from zsgen.core import config as config_lib
from zsgen.models import arrays
from zsgen.models import lora as lora_lib
from zsgen.train import batches, layouts, memory, optimizer
from zsgen.train import program as program_lib


class Parameter(NamedTuple):
  """Parameters of the same kind, such as those that all blocks have.

  Attributes:
    name: the path, with * for layer numbers.
    count: number of parameters.
    shape: the shape of each of them.
    dtype: the element type.
    spec: the mesh axes that split each axis; None if the axis is not split.
    bytes: bytes on each device, for all of them.
    trained: whether they are trained.
  """

  name: str
  count: int
  shape: tuple[int, ...]
  dtype: str
  spec: tuple[str | tuple[str, ...] | None, ...]
  bytes: int
  trained: bool


class States(NamedTuple):
  """Bytes on each device by purpose."""

  weights: int
  frozen: int
  moments: int
  gradients: int


def arguments(
    config: config_lib.Config,
    program: program_lib.Program,
    shape: layouts.Shape,
    split: layouts.Split,
) -> tuple[Any, ...]:
  """Returns the shapes of the arguments of a step."""
  batch = layouts.batch_shapes(shape, split, config.train.batch_size)
  scalar: Any = jax.ShapeDtypeStruct((), np.float32)
  hyper = optimizer.Hyper(*[scalar] * len(optimizer.Hyper._fields))
  return program.shapes, program.frozen_shapes, batch, hyper


def states(program: program_lib.Program, parts: int) -> States:
  """Returns the bytes of states on each device with `parts` micro-batches."""
  weights = memory.per_device(program.shapes.params, program.shardings.params)
  return States(
      weights=weights,
      frozen=memory.per_device(program.frozen_shapes, program.frozen_shardings),
      moments=memory.per_device(
          program.shapes.moments, program.shardings.moments
      ),
      # The gradients of a micro-batch, and their sum.
      gradients=weights * min(parts, 2),
  )


def residual_bytes(
    config: config_lib.Config,
    program: program_lib.Program,
    shape: layouts.Shape,
) -> int:
  """Returns the bytes per device that a micro-batch saves for its backward
  pass.

  The head saves nothing: its gradient is computed in the forward pass.
  """

  def backward(
      params: Any, frozen: Any, batch: batches.Batch[jax.Array]
  ) -> Any:
    """Returns the backward pass, whose outputs are what it has saved."""

    def states(trained: Any) -> arrays.Array:
      """Returns the hidden states that the head reads, [G, K, D]."""
      joined = lora_lib.join(trained, frozen)
      return program.model.loss_states(joined, batch)

    return jax.vjp(states, params)[1]

  split = layouts.split_on(program.mesh)
  part = shape._replace(rows=shape.rows // config.machine.micro_batches)
  state, frozen, batch, _ = arguments(config, program, part, split)
  jaxpr = jax.make_jaxpr(backward)(state.params, frozen, batch).jaxpr
  inputs = {id(variable) for variable in jaxpr.invars}
  residuals: dict[int, Any] = {
      id(variable): variable.aval
      for variable in jaxpr.outvars
      if isinstance(variable, jax.extend.core.Var)
  }
  sizes = [
      math.prod(aval.shape) * aval.dtype.itemsize
      for key, aval in residuals.items()
      if key not in inputs
  ]
  return sum(sizes) // split.groups


def parameters(program: program_lib.Program) -> list[Parameter]:
  """Returns the parameters, grouped by kind."""
  groups: dict[tuple, Parameter] = {}
  for trained, shapes, shardings in (
      (True, program.shapes.params, program.shardings.params),
      (False, program.frozen_shapes, program.frozen_shardings),
  ):
    leaves = jax.tree_util.tree_leaves_with_path(shapes)
    for (path, leaf), sharding in zip(
        leaves, jax.tree.leaves(shardings), strict=True
    ):
      name = jax.tree_util.keystr(path, simple=True, separator="/")
      name = re.sub(r"\d+", "*", name)
      size = memory.per_device(leaf, sharding)
      key = (name, leaf.shape, sharding.spec, trained)
      previous = groups.get(key)
      groups[key] = Parameter(
          name=name,
          count=1 + (previous.count if previous else 0),
          shape=leaf.shape,
          dtype=leaf.dtype.name,
          spec=tuple(sharding.spec),
          bytes=size + (previous.bytes if previous else 0),
          trained=trained,
      )
  return list(groups.values())
