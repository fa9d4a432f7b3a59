"""Comparison of floats that were summed in different sequences.

Meshes, packings, chunks and processors sum in different sequences, so single
elements of a gradient may differ by any share of themselves: an element that is
the difference of large terms keeps their rounding error. What the project
promises is that the difference of two results is small beside the whole.
"""

from typing import Any

import jax
import numpy as np


def relative_error(actual: Any, expected: Any) -> float:
  """Returns the global norm of the difference over that of `expected`.

  Args:
    actual: a tree of arrays.
    expected: a tree of the same structure and shapes.
  """
  assert jax.tree.structure(actual) == jax.tree.structure(expected)
  pairs = [
      (np.asarray(leaf, np.float64), np.asarray(reference, np.float64))
      for leaf, reference in zip(
          jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True
      )
  ]
  assert all(leaf.shape == reference.shape for leaf, reference in pairs)
  norm = np.sqrt(sum(np.sum(np.square(reference)) for _, reference in pairs))
  assert norm > 0, "all of `expected` is zero: there is nothing to compare with"
  difference = sum(
      np.sum(np.square(leaf - reference)) for leaf, reference in pairs
  )
  return float(np.sqrt(difference) / norm)


def assert_same(actual: Any, expected: Any) -> None:
  """Raises AssertionError if two trees differ in structure or in a value."""
  assert jax.tree.structure(actual) == jax.tree.structure(expected)
  jax.tree.map(np.testing.assert_array_equal, actual, expected)


def assert_close(actual: Any, expected: Any, tolerance: float = 1e-5) -> None:
  """Raises AssertionError if `relative_error` exceeds `tolerance`."""
  error = relative_error(actual, expected)
  assert error <= tolerance, f"relative error {error:.2e} > {tolerance:.0e}"
