"""Partitions kernels over a mesh, which XLA does not do by itself."""

from collections.abc import Callable
import math
from typing import Any

import jax
from jax.sharding import PartitionSpec

from zsgen.models.arrays import Array

_ROWS, _HEADS = ("data", "fsdp"), "tensor"
# Maps query [B, T, H, d], key and value [B, T, K, d] and segments [B, T], or a
# tree of such arrays, to [B, T, H, d].
_Attend = Callable[[Array, Array, Array, Any], Array]


def split_over(mesh: jax.sharding.Mesh | None, attend: _Attend) -> _Attend:
  """Returns attention in which each device computes its own rows and heads.

  Devices do not communicate. Rows that cannot be divided, such as a single
  prompt, are computed on every device; so are heads.

  Args:
    mesh: a mesh with the axes data, fsdp and tensor, all Auto; None for one
      device.
    attend: attention of the rows and heads of one device.
  """
  if mesh is None:
    return attend
  shards = math.prod(mesh.shape[axis] for axis in _ROWS)

  def run(query: Array, key: Array, value: Array, segments: Any) -> Array:
    """Computes each device's rows and heads on that device."""
    rows = _ROWS if query.shape[0] % shards == 0 else None
    remainder = key.shape[2] % mesh.shape[_HEADS]
    heads = PartitionSpec(rows, None, None if remainder else _HEADS)
    # The types of kernel results lack the axes over which they vary.
    split = jax.shard_map(
        attend,
        mesh=mesh,
        in_specs=(heads, heads, heads, PartitionSpec(rows)),
        out_specs=heads,
        check_vma=False,
    )
    return split(query, key, value, segments)

  return run
