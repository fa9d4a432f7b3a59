"""Where activations lie on a mesh.

Unless told, the compiler may let a parameter's split go on: where the
embedding's width is split, every device would compute a part of the width of
all rows, and sum over devices after every product.
"""

import jax
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float

from zsgen.core import mesh as mesh_lib


def by_rows(
    x: Float[Array, "B ..."], mesh: jax.sharding.Mesh | None
) -> Float[Array, "B ..."]:
  """x with its rows split over the mesh as those of a batch.

  Args:
    x: rows first; those that do not divide, as of one prompt, stay.
    mesh: None for one device.
  """
  if mesh is None or x.shape[0] % mesh_lib.row_shards(mesh):
    return x
  return jax.lax.with_sharding_constraint(x, mesh_lib.batch_sharding(mesh))


def from_table(
    x: Float[Array, "B T D"], mesh: jax.sharding.Mesh | None
) -> Float[Array, "B T D"]:
  """`by_rows` of what was looked up in a table whose width is split.

  In two steps, each of which the compiler knows how to do: in one it would
  hold all of x on every device.
  """
  if mesh is None or x.shape[0] % mesh_lib.row_shards(mesh):
    return x
  if x.shape[-1] % mesh.shape["fsdp"] == 0:
    split = NamedSharding(mesh, PartitionSpec("data", None, "fsdp"))
    x = jax.lax.with_sharding_constraint(x, split)
  return by_rows(x, mesh)
