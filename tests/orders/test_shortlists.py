"""Shortlists: the best rows of each example, ties by row, block by block."""

import numpy as np
import pools
import pytest

from zsgen.orders import shortlists, similarity


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
  monkeypatch.setattr(similarity, "block_size", lambda examples, dim: 16)


@pytest.mark.parametrize("case", range(10))
def test_equals_a_stable_sort(case):
  train, heldout = pools.tied(case)
  size = int(np.random.default_rng(case).integers(1, len(train) + 1))
  near, far = shortlists.make(
      pools.embedded(train),
      pools.embedded(heldout),
      ("nearest", "farthest"),
      size,
  )
  products = heldout @ train.T
  for actual, keys in ((near, -products), (far, products)):
    order = np.argsort(keys, axis=1, kind="stable")[:, :size]
    np.testing.assert_array_equal(actual.rows, order)
    np.testing.assert_array_equal(
        actual.keys, np.take_along_axis(keys, order, axis=1)
    )
    assert (actual.filled == size).all()


def test_zeros_of_either_sign_tie():
  products = np.array([[0.0, -0.0, 1.0, -0.0, 0.0, -1.0]], np.float32)
  for pick, rows in (("nearest", [2, 0, 1, 3]), ("farthest", [5, 0, 1, 3])):
    actual = shortlists.Shortlist(pick, 1, 4)
    actual.add(np.arange(6), products)
    actual.finish()
    assert actual.rows.tolist() == [rows]
