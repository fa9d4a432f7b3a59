"""Several runs of one shape as one program over a leading axis, the members.

Members differ in data, order, seed and hyper-parameters. Parameters, moments,
batches and hyper-parameters of all have the members as their first axis, over
which the step is mapped; on several devices that axis is split. A member's
files are those of a run alone, and its curve is the same but for rounding. With
one member, each function here returns what it is given.
"""

from collections.abc import Callable, Sequence
import functools
from typing import Any

import jax
import numpy as np

from zsgen.core import errors
from zsgen.core import mesh as mesh_lib
from zsgen.train import batches, layouts
from zsgen.train import program as program_lib


def sharding(
    mesh: jax.sharding.Mesh, members: int
) -> jax.sharding.NamedSharding:
  """Returns the sharding of arrays with the members as their first axis.

  Raises:
    InputError: the devices do not divide the members.
  """
  if members % mesh.size:
    raise errors.InputError(
        f"config.population is {members} members on {mesh.size} devices, which"
        " do not divide them: take a multiple, or fewer devices."
    )
  if mesh.shape["data"] != mesh.size:
    raise errors.InputError(
        "config.population: members are split over config.machine.mesh.data"
        f" alone, but the mesh is {dict(mesh.shape)}. Leave fsdp, tensor and"
        " context at 1."
    )
  return mesh_lib.batch_sharding(mesh)


def mapped(
    function: Callable[..., Any], sharding: jax.sharding.NamedSharding
) -> Callable[..., Any]:
  """Maps a function over members; each device computes its own members.

  Args:
    function: of one member, whose model is `alone`.
    sharding: of the first axis of all arguments and results, the members.
  """
  return jax.shard_map(
      jax.vmap(function),
      mesh=sharding.mesh,
      in_specs=sharding.spec,
      out_specs=sharding.spec,
      check_vma=False,
  )


def join(programs: Sequence[program_lib.Program]) -> program_lib.Program:
  """Returns the program of all members; that of a single one unchanged.

  Args:
    programs: of each member, of one shape.

  Raises:
    InputError: see `sharding`.
  """
  first, count = programs[0], len(programs)
  if count == 1:
    return first
  split = sharding(first.mesh, count)
  shapes, frozen = jax.tree.map(
      lambda leaf: jax.ShapeDtypeStruct((count, *leaf.shape), leaf.dtype),
      (first.shapes, first.frozen_shapes),
  )
  step = functools.partial(first.plain_step, model=first.model.on_each_device)
  return first._replace(
      shapes=shapes,
      shardings=jax.tree.map(lambda _: split, shapes),
      frozen_shapes=frozen,
      frozen_shardings=jax.tree.map(lambda _: split, frozen),
      batch_shardings=jax.tree.map(lambda _: split, first.batch_shardings),
      step=jax.jit(mapped(step, split), donate_argnums=0),
  )


def stack(trees: Sequence[Any], shardings: Any = None) -> Any:
  """Stacks the trees of all members; a single one is returned unchanged.

  Args:
    trees: of each member.
    shardings: of the stacked arrays; None leaves them on the host.
  """
  if len(trees) == 1:
    return trees[0]
  stacked = jax.tree.map(lambda *x: np.stack(x), *jax.device_get(trees))
  return stacked if shardings is None else jax.device_put(stacked, shardings)


def unstack(tree: Any, count: int) -> list[Any]:
  """Returns the tree of each of `count` members; see `stack`."""
  if count == 1:
    return [tree]
  return [jax.tree.map(lambda leaf, i=i: leaf[i], tree) for i in range(count)]


def lay_out(
    examples: Sequence[batches.Examples],
    planned: layouts.Layouts,
    step: int,
) -> batches.Batch[np.ndarray]:
  """Lays the examples of all members out in the shape of their step."""
  shape, rows = planned.shape(step), planned.rows[:, step]
  return stack(
      [
          layouts.lay_out(member, shape, planned.split, rows_of_member)
          for member, rows_of_member in zip(examples, rows, strict=True)
      ]
  )
