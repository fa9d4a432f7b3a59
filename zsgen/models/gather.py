"""Gathers positions within row groups.

The rows of a device in a micro-batch are a row group. The row groups of all
devices are next to each other, each as a line of positions.

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
) -> Shaped[Array, "G K *rest"]:
  """Returns the values at positions of each row group.

  Each device gathers from its own rows. (If `values` were a single line, every
  device would compute everything that depends on the result.)

  Args:
    values: of the positions of all rows; each G-th of the rows is a group.
    positions: positions in the line of each group, below B / G · T.
    mesh: the mesh that the rows are split over; None for one device.
  """
  rest = values.shape[2:]
  lines = values.reshape(positions.shape[0], -1, *rest)
  lines = placement.by_rows(lines, mesh)
  indices = positions.reshape(*positions.shape, *(1 for _ in rest))
  gathered = jnp.take_along_axis(
      lines, indices, axis=1, mode="promise_in_bounds"
  )
  return placement.by_rows(gathered, mesh)
