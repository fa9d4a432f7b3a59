"""Random projections whose matrix is generated in blocks and never stored."""

import jax
from jax import numpy as jnp
from jaxtyping import Float

from zsgen.models.arrays import Array

# Elements of the matrix that are generated at a time.
_ELEMENTS = 2**22
_BITS = 32


def project(
    values: Float[Array, "n P"], key: jax.Array, dim: int
) -> Float[Array, "n d"]:
  """Multiplies vectors by a matrix [P, dim] of independent random signs.

  Scalar products of the results, divided by `dim`, are those of the vectors in
  expectation (Johnson and Lindenstrauss).

  Args:
    values: the vectors.
    key: a typed key, which decides the matrix together with P and `dim`.
    dim: the length of the results.
  """
  count, size = values.shape
  rows = min(size, max(1, _ELEMENTS // dim))
  blocks = -(-size // rows)
  padded = jnp.pad(values, ((0, 0), (0, blocks * rows - size)))

  def add(number: Array, total: Array) -> Array:
    """Adds the product with a block of the matrix's rows to a total."""
    part = jax.lax.dynamic_slice_in_dim(padded, number * rows, rows, axis=1)
    signs = random_signs(jax.random.fold_in(key, number), rows, dim)
    return total + jnp.matmul(part, signs, precision="highest")

  zeros = jnp.zeros((count, dim), jnp.float32)
  return jax.lax.fori_loop(0, blocks, add, zeros)


def random_signs(
    key: jax.Array, rows: int, columns: int
) -> Float[Array, "rows columns"]:
  """Returns independent signs, 1 or -1, float32; a bit is drawn for each."""
  words = jax.random.bits(key, (rows, -(-columns // _BITS)), jnp.uint32)
  bits = (words[..., None] >> jnp.arange(_BITS, dtype=jnp.uint32)) & 1
  signs = 2 * bits.astype(jnp.float32) - 1
  return signs.reshape(rows, -1)[:, :columns]
