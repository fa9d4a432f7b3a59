"""Partitions kernels over a mesh, which XLA does not do by itself.

Devices that share rows have some of the queries each, and gather all keys and
values (2407.21783, section 3.3.2).
"""

from collections.abc import Callable
import functools
import math
from typing import Any

import jax
from jax.sharding import PartitionSpec

from zsgen.models.arrays import Array

_ROWS, _POSITIONS, _HEADS = ("data", "fsdp"), "context", "tensor"
# Maps query [B, T, H, d], key and value [B, T, K, d] and segments [B, T], or a
# tree of such arrays, to [B, T, H, d].
_Attend = Callable[[Array, Array, Array, Any], Array]


def split_over(mesh: jax.sharding.Mesh | None, attend: _Attend) -> _Attend:
  """Returns attention in which each device computes its own rows and heads.

  Devices do not communicate, unless positions are split. Rows that cannot be
  divided, such as a single prompt, are computed on every device; so are
  positions and heads.

  Args:
    mesh: a mesh of `core.mesh.make`; None for one device.
    attend: attention of the rows and heads of one device. If positions are
      split, it has a keyword argument `first`, the number of the first query,
      int32 [], and has all keys, values and segments of its rows.
  """
  if mesh is None:
    return attend
  shards = math.prod(mesh.shape[axis] for axis in _ROWS)
  context = mesh.shape[_POSITIONS]

  def run(query: Array, key: Array, value: Array, segments: Any) -> Array:
    """Computes each device's rows and heads on that device."""
    rows = _ROWS if query.shape[0] % shards == 0 else None
    positions = _POSITIONS if query.shape[1] % context == 0 else None
    part = attend
    if positions and context > 1:
      part = functools.partial(_attend_part, attend)
    remainder = key.shape[2] % mesh.shape[_HEADS]
    heads = PartitionSpec(rows, positions, None if remainder else _HEADS)
    # The types of kernel results lack the axes over which they vary.
    split = jax.shard_map(
        part,
        mesh=mesh,
        in_specs=(heads, heads, heads, PartitionSpec(rows, positions)),
        out_specs=heads,
        check_vma=False,
    )
    return split(query, key, value, segments)

  return run


def _attend_part(
    attend: Callable[..., Array],
    query: Array,
    key: Array,
    value: Array,
    segments: Array,
) -> Array:
  """Attends from the positions of this device to those of whole rows."""
  first = jax.lax.axis_index(_POSITIONS) * query.shape[1]
  # The gradients of keys and values are summed by a reduce-scatter.
  key, value, segments = (
      jax.lax.all_gather(x, _POSITIONS, axis=1, tiled=True)
      for x in (key, value, segments)
  )
  return attend(query, key, value, segments, first=first)
