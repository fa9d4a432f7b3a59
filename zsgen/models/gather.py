"""Gathers positions within row groups.

The rows of a device in a micro-batch, or the part of them that it has if their
positions are split, are a row group. The row groups of all devices are next to
each other, each as a line of positions.

Axes: B rows, T positions of a row, G row groups, K gathered positions.
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
  """Returns the values at positions of each row group.

  Each device gathers from its own rows. (If `values` were a single line, every
  device would compute everything that depends on the result.)

  Args:
    values: of the positions of all rows; see `layouts.Split` for the groups.
    positions: positions in the line of each group, below B · T / G.
    mesh: the mesh that the rows are split over; None for one device.
    position_shards: parts into which the positions of a row are split.
  """
  rest = values.shape[2:]
  lines = values
  if position_shards > 1:
    lines = _split_positions(lines, len(positions), position_shards)
  lines = lines.reshape(positions.shape[0], -1, *rest)
  lines = placement.by_groups(lines, mesh)
  indices = positions.reshape(*positions.shape, *(1 for _ in rest))
  gathered = jnp.take_along_axis(
      lines, indices, axis=1, mode="promise_in_bounds"
  )
  return placement.by_groups(gathered, mesh)


def gather_loss(
    values: Shaped[Array, "B T"],
    loss_positions: Int[Array, "G K"],
    position_shards: int = 1,
) -> Shaped[Array, "G K"]:
  """Returns the values at loss positions; any value where there is none.

  Args:
    values: of the tokens of all rows.
    loss_positions: see `loss_slots.fill`.
    position_shards: parts into which the positions of a row are split.
  """
  if position_shards == 1:
    return gather(values, loss_positions)
  # The token before is in the group, while the token itself may be in the next.
  before = jnp.maximum(loss_positions - 1, 0)
  following = jnp.roll(values, -1, axis=1)
  return gather(following, before, position_shards=position_shards)


def _split_positions(
    values: Shaped[Array, "B T *rest"], groups: int, parts: int
) -> Shaped[Array, "S parts rows positions *rest"]:
  """Returns the values of each row group, whose rows have successive positions.

  Args:
    values: of the positions of all rows.
    groups: the number of row groups.
    parts: parts into which the positions of a row are split.
  """
  _, length, *rest = values.shape
  shape = (groups // parts, -1, parts, length // parts, *rest)
  return values.reshape(shape).swapaxes(1, 2)
