"""Shards activations over a mesh.

Without constraints, the compiler may propagate the sharding of a parameter: if
the width of the embedding is sharded, every device would compute a part of the
width of all rows, and sum over devices after every product.
"""

import jax
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Float, Int, Shaped

from zsgen.core import mesh as mesh_lib
from zsgen.models.arrays import Array


def by_rows(
    x: Shaped[Array, "B ..."], mesh: jax.sharding.Mesh | None
) -> Shaped[Array, "B ..."]:
  """Shards the rows of `x` and their positions like those of a batch.

  Args:
    x: rows first, then positions; returned as it is if they cannot be divided
      evenly.
    mesh: the mesh; None for one device.
  """
  if mesh is None or not _is_divided(x, mesh):
    return x
  return jax.lax.with_sharding_constraint(x, mesh_lib.position_sharding(mesh))


def by_whole_rows(
    x: Shaped[Array, "B ..."], mesh: jax.sharding.Mesh | None
) -> Shaped[Array, "B ..."]:
  """Shards the rows of `x`; each device has all positions of its rows.

  Args:
    x: rows first; returned as it is if they cannot be divided evenly.
    mesh: the mesh; None for one device.
  """
  if mesh is None or x.shape[0] % mesh_lib.row_shards(mesh):
    return x
  return jax.lax.with_sharding_constraint(x, mesh_lib.batch_sharding(mesh))


def by_groups(
    x: Shaped[Array, "G ..."], mesh: jax.sharding.Mesh | None
) -> Shaped[Array, "G ..."]:
  """Shards row groups, or their shares, over the devices that have them.

  Args:
    x: groups first; returned as it is if they cannot be divided evenly.
    mesh: the mesh; None for one device.
  """
  if mesh is None:
    return x
  shards = mesh_lib.row_shards(mesh) * mesh_lib.position_shards(mesh)
  if x.shape[0] % shards:
    return x
  return jax.lax.with_sharding_constraint(x, mesh_lib.group_sharding(mesh))


def to_table(
    indices: Int[Array, "B T"], width: int, mesh: jax.sharding.Mesh | None
) -> Int[Array, "B T"]:
  """Gives indices to all devices that have a part of the table's width.

  If positions are split, a device looks up its part of all rows that these
  devices share, and `from_table` exchanges the parts. Otherwise the compiler
  does so by itself.

  Args:
    indices: rows of the table.
    width: width of the table.
    mesh: the mesh; None for one device.
  """
  if mesh is None or not _splits_width(indices, width, mesh):
    return indices
  split = NamedSharding(mesh, PartitionSpec("data"))
  return jax.lax.with_sharding_constraint(indices, split)


def from_table(
    x: Float[Array, "B T D"], mesh: jax.sharding.Mesh | None
) -> Float[Array, "B T D"]:
  """Shards rows that were looked up in a table whose width is sharded.

  Takes steps that the compiler handles well; in one step it would replicate `x`
  on every device.
  """
  if mesh is None or not _is_divided(x, mesh):
    return x
  steps = []
  if _splits_width(x, x.shape[-1], mesh):
    steps = [
        PartitionSpec("data", None, ("fsdp", "context")),
        PartitionSpec("data", "context", "fsdp"),
    ]
  elif x.shape[-1] % mesh.shape["fsdp"] == 0:
    steps = [PartitionSpec("data", None, "fsdp")]
  for step in steps:
    x = jax.lax.with_sharding_constraint(x, NamedSharding(mesh, step))
  return by_rows(x, mesh)


def _splits_width(
    x: Shaped[Array, "B T ..."], width: int, mesh: jax.sharding.Mesh
) -> bool:
  """Returns whether positions are split, and fsdp and context divide a width."""
  parts = mesh.shape["fsdp"] * mesh_lib.position_shards(mesh)
  is_split = mesh_lib.position_shards(mesh) > 1 and _is_divided(x, mesh)
  return is_split and width % parts == 0


def _is_divided(x: Shaped[Array, "B ..."], mesh: jax.sharding.Mesh) -> bool:
  """Returns whether the mesh divides rows and positions evenly."""
  context = mesh_lib.position_shards(mesh)
  if context > 1 and x.shape[1] % context:
    return False
  return not x.shape[0] % mesh_lib.row_shards(mesh)
