"""Shards activations over a mesh.

Without constraints, the compiler may propagate the sharding of a parameter: if
the width of the embedding is sharded, every device would compute a part of the
width of all rows, and sum over devices after every product.
"""

import jax
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Float, Shaped

from zsgen.core import mesh as mesh_lib
from zsgen.models.arrays import Array


def by_rows(
    x: Shaped[Array, "B ..."], mesh: jax.sharding.Mesh | None
) -> Shaped[Array, "B ..."]:
  """Shards the rows of `x` like those of a batch.

  Args:
    x: rows first; returned as it is if they cannot be divided evenly.
    mesh: the mesh; None for one device.
  """
  if mesh is None or x.shape[0] % mesh_lib.row_shards(mesh):
    return x
  return jax.lax.with_sharding_constraint(x, mesh_lib.batch_sharding(mesh))


def from_table(
    x: Float[Array, "B T D"], mesh: jax.sharding.Mesh | None
) -> Float[Array, "B T D"]:
  """Shards rows that were looked up in a table whose width is sharded.

  Takes two steps that the compiler handles well; in one step it would replicate
  `x` on every device.
  """
  if mesh is None or x.shape[0] % mesh_lib.row_shards(mesh):
    return x
  if x.shape[-1] % mesh.shape["fsdp"] == 0:
    split = NamedSharding(mesh, PartitionSpec("data", None, "fsdp"))
    x = jax.lax.with_sharding_constraint(x, split)
  return by_rows(x, mesh)
