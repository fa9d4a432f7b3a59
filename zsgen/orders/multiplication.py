"""Products of training vectors with the held-out vectors, block by block.

NumPy's BLAS computes them, or JAX if this process has an accelerator. Products
of vectors on the grid are exact in float32, so that both give the same bits;
TF32 and bfloat16 products would not, which is why JAX is asked for full
precision.

On CPUs, each core computes a block of its own with one thread of BLAS: threads
that share a product wait for each other, and do nothing else while they wait.
"""

from collections.abc import Callable
import os
import sys

import numpy as np

# From training vectors [R, D] to float32 [M, R].
Multiply = Callable[[np.ndarray], np.ndarray]
# Fewer multiplications take less time than the compilation of a program.
_FEWEST = 2**34


def make(heldout: np.ndarray, rows: int, size: int) -> tuple[Multiply, int]:
  """Returns what multiplies a block of training vectors with the held-out ones.

  Its results have the same bits on every device: if those of an accelerator
  differ from NumPy's in the first block, NumPy computes the other blocks too.

  Args:
    heldout: held-out vectors, float32 [M, D].
    rows: training vectors of all blocks together.
    size: training vectors of a block; the last block may have fewer.

  Returns:
    The function, and the number of threads that should call it at once, if
    BLAS has one thread for each.
  """
  multiply = _make_for_cpu(heldout, size)
  is_large = rows * heldout.size >= _FEWEST
  if is_large and has_accelerator():
    return _Checked(_make_for_accelerator(heldout, size), multiply), 1
  return multiply, os.cpu_count() or 1


def has_accelerator() -> bool:
  """Returns whether JAX, if it is in use, computes on something else than CPUs.

  Tools that have not imported JAX start without it.
  """
  jax = sys.modules.get("jax")
  return jax is not None and jax.default_backend() != "cpu"


class _Checked:
  """Multiplies as a device does, if its first block equals the reference."""

  def __init__(self, multiply: Multiply, reference: Multiply):
    self._multiply = multiply
    self._reference = reference
    self._is_checked = False

  def __call__(self, block: np.ndarray) -> np.ndarray:
    """Returns the products of a block."""
    if self._is_checked:
      return self._multiply(block)
    self._is_checked = True
    expected = self._reference(block)
    if not np.array_equal(self._multiply(block), expected):
      self._multiply = self._reference
    return expected


def _make_for_cpu(heldout: np.ndarray, size: int) -> Multiply:
  """Multiplies by BLAS."""

  def multiply(block: np.ndarray) -> np.ndarray:
    """Returns the products with a block [R, D], float32 [M, R]."""
    return (heldout @ _pad(block, size).T)[:, : len(block)]

  return multiply


def _make_for_accelerator(heldout: np.ndarray, size: int) -> Multiply:
  """Multiplies on JAX's default device, in full float32 precision."""
  import jax

  @jax.jit
  def compute(vectors: jax.Array, block: jax.Array) -> jax.Array:
    """Returns the products with a padded block, float32 [M, size]."""
    return jax.lax.dot_general(
        vectors,
        block,
        (((1,), (1,)), ((), ())),
        precision=jax.lax.Precision.HIGHEST,
    )

  vectors = jax.device_put(heldout)

  def multiply(block: np.ndarray) -> np.ndarray:
    """Returns the products with a block [R, D], float32 [M, R]."""
    products = compute(vectors, _pad(block, size))
    return np.asarray(products)[:, : len(block)]

  return multiply


def _pad(block: np.ndarray, size: int) -> np.ndarray:
  """Adds zero vectors to the last block: other shapes may change float sums."""
  if len(block) == size:
    return block
  return np.pad(block, ((0, size - len(block)), (0, 0)))
