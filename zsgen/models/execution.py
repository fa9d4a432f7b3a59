"""How a model is computed; never what."""

from typing import NamedTuple

import jax

from zsgen import config
from zsgen import mesh as mesh_lib


class Execution(NamedTuple):
  """Choices that change memory and time, and results by rounding only.

  Attributes:
    remat: what the backward pass computes again, as `config.Machine.remat`.
    logits_chunk: positions of each row whose logits are held at once; 0: all.
    attention: the backend, "xla", "cudnn" or "splash".
    mesh: where; None for one device.
  """

  remat: str = "cheap"
  logits_chunk: int = 0
  attention: str = "xla"
  mesh: jax.sharding.Mesh | None = None

  def by_rows(self, x: jax.Array) -> jax.Array:
    """x [B, ...] with its rows split over the mesh as those of a batch.

    Unless told, the compiler may let a parameter's split go on: where the
    embedding's width is split, every device would compute a part of the width
    of all rows, and sum over devices after every product.
    """
    if self.mesh is None or x.shape[0] % mesh_lib.row_shards(self.mesh):
      return x
    rows = mesh_lib.batch_sharding(self.mesh)
    return jax.lax.with_sharding_constraint(x, rows)

  def from_table(self, x: jax.Array) -> jax.Array:
    """`by_rows` of what was looked up in a table whose width is split.

    In two steps, each of which the compiler knows how to do: in one it would
    hold all of x on every device.
    """
    if self.mesh is None or x.shape[0] % mesh_lib.row_shards(self.mesh):
      return x
    if x.shape[-1] % self.mesh.shape["fsdp"] == 0:
      split = jax.sharding.PartitionSpec("data", None, "fsdp")
      place = jax.sharding.NamedSharding(self.mesh, split)
      x = jax.lax.with_sharding_constraint(x, place)
    return self.by_rows(x)


PLAIN = Execution()


def of(machine: config.Machine, mesh: jax.sharding.Mesh) -> Execution:
  """What the config asks for on a mesh."""
  return Execution(machine.remat, machine.logits_chunk, "xla", mesh)
