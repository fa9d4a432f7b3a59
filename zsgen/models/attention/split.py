"""Kernels on a mesh: XLA does not split them over devices by itself."""

from collections.abc import Callable
import math

import jax
from jax.sharding import PartitionSpec

_ROWS, _HEADS = ("data", "fsdp"), "tensor"
# From query [B, T, H, d], key and value [B, T, K, d] and segments [B, T] to
# [B, T, H, d].
_Attend = Callable[[jax.Array, jax.Array, jax.Array, jax.Array], jax.Array]


def over(mesh: jax.sharding.Mesh | None, attend: _Attend) -> _Attend:
  """Attention where each device takes its own rows and heads.

  No device needs what another has. Rows that do not divide, as those of one
  prompt, are computed on every device; so are heads.

  Args:
    mesh: with the axes data, fsdp and tensor, all Auto; None for one device.
    attend: attention of the rows and heads of one device.
  """
  if mesh is None:
    return attend
  shards = math.prod(mesh.shape[axis] for axis in _ROWS)

  def run(
      query: jax.Array, key: jax.Array, value: jax.Array, segments: jax.Array
  ) -> jax.Array:
    rows = _ROWS if segments.shape[0] % shards == 0 else None
    whole = key.shape[2] % mesh.shape[_HEADS]
    heads = PartitionSpec(rows, None, None if whole else _HEADS)
    # Results of kernels are not typed by the axes over which they vary.
    split = jax.shard_map(
        attend,
        mesh=mesh,
        in_specs=(heads, heads, heads, PartitionSpec(rows)),
        out_specs=heads,
        check_vma=False,
    )
    return split(query, key, value, segments)

  return run
