"""Gathers positions within row groups.

The rows of a shard in a micro-batch are a row group: a line of positions. If
the positions of rows are split over devices, each device of a row group gathers
its own share of positions from all of the group's rows, so that all of them
compute the same number of logits, wherever the loss is.

Axes: B rows, T positions of a row, G shares of row groups, K gathered
positions.
"""

import jax
from jax import numpy as jnp
from jaxtyping import Int, Shaped

from zsgen.models import placement
from zsgen.models.arrays import Array


def gather(
    values: Shaped[Array, "B T *rest"],
    positions: Int[Array, "G K"],
    mesh: jax.sharding.Mesh | None = None,
    position_shards: int = 1,
) -> Shaped[Array, "G K *rest"]:
  """Returns the values at positions of row groups.

  Each device gathers from its own rows. (If `values` were a single line, every
  device would compute everything that depends on the result.)

  Args:
    values: of the positions of all rows.
    positions: positions in the lines of row groups, the shares of each group
      next to each other; see `layouts.Split`.
    mesh: the mesh that the rows are split over; None for one device.
    position_shards: shares of each row group, one for each part into which the
      positions of a row are split.
  """
  rest = values.shape[2:]
  groups = len(positions) // position_shards
  if position_shards > 1:
    values = placement.by_whole_rows(values, mesh)
  lines = values.reshape(groups, -1, *rest)
  if position_shards > 1:
    lines = jnp.repeat(lines, position_shards, axis=0)
  lines = placement.by_groups(lines, mesh)
  indices = positions.reshape(*positions.shape, *(1 for _ in rest))
  gathered = jnp.take_along_axis(
      lines, indices, axis=1, mode="promise_in_bounds"
  )
  return placement.by_groups(gathered, mesh)
