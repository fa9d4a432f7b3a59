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
  nearest, farthest = shortlists.make(
      pools.embedded(train),
      pools.embedded(heldout),
      ("nearest", "farthest"),
      size,
  )
  products = heldout @ train.T
  for actual, keys in ((nearest, -products), (farthest, products)):
    order = np.argsort(keys, axis=1, kind="stable")[:, :size]
    np.testing.assert_array_equal(actual.rows, order)
    np.testing.assert_array_equal(
        actual.keys, np.take_along_axis(keys, order, axis=1)
    )
    assert (actual.filled == size).all()


@pytest.mark.parametrize("pick", ["nearest", "farthest"])
@pytest.mark.parametrize("is_typical", [True, False])
def test_a_sample_shortens_lists_and_never_changes_them(pick, is_typical):
  """Samples rows that are like the others, or better than all of them."""
  rng = np.random.default_rng(5)
  train = rng.integers(-9, 10, (2000, 3)).astype(np.float32)
  heldout = rng.integers(-9, 10, (7, 3)).astype(np.float32)
  if not is_typical:
    train[:: shortlists._SAMPLED] *= 100
  (actual,) = shortlists.make(
      pools.embedded(train), pools.embedded(heldout), (pick,), 20
  )
  keys = heldout @ train.T * (1 if pick == "farthest" else -1)
  expected = np.argsort(keys, axis=1, kind="stable")[:, :20]
  np.testing.assert_array_equal(actual.rows, expected)
  assert (actual._bounds < np.inf).all()
  limited = shortlists.Shortlist(pick, 7, 20)
  limited.limit(np.sort(keys, axis=1)[:, 4])
  for rows, products in similarity.blocks(
      pools.embedded(train), pools.embedded(heldout)
  ):
    limited.add(np.arange(2000)[rows], products)
  limited.finish()
  assert (limited.filled < 20).any()


def test_zeros_of_either_sign_tie():
  products = np.array([[0.0, -0.0, 1.0, -0.0, 0.0, -1.0]], np.float32)
  for pick, rows in (("nearest", [2, 0, 1, 3]), ("farthest", [5, 0, 1, 3])):
    actual = shortlists.Shortlist(pick, 1, 4)
    actual.add(np.arange(6), products)
    actual.finish()
    assert actual.rows.tolist() == [rows]
