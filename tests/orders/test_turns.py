"""Rounds of picks: exact however short the lists are."""

import itertools

import numpy as np
import pools
import pytest

from tests.helpers import released_code
from zsgen.orders import similarity, turns


def _all_rounds(train, heldout, pick, budget):
  """All rounds, as lists of rows."""
  walk = turns.rounds(
      pools.embedded(train), pools.embedded(heldout), (pick,), budget
  )[0]
  return [picked.rows.tolist() for picked in walk]


def _released(train, heldout, pick):
  """All rounds by the released code: an argmin over everything a round."""
  distance = -(train @ heldout.T)
  select = (
      released_code.select_min
      if pick == "nearest"
      else released_code.select_max
  )
  order = select(distance, len(train))
  return order


@pytest.mark.parametrize("pick", ["nearest", "farthest"])
@pytest.mark.parametrize("case", range(20))
def test_equals_the_released_code_if_lists_run_out(case, pick, monkeypatch):
  monkeypatch.setattr(turns, "_SHORTEST", 1 + case % 7)
  monkeypatch.setattr(turns, "_DEPTH", 1)
  monkeypatch.setattr(turns, "_STRIDE", 1 + case % 5)
  monkeypatch.setattr(similarity, "block_size", lambda examples, dim: 64)
  train, heldout = pools.tied(case)
  actual = list(itertools.chain(*_all_rounds(train, heldout, pick, 1)))
  assert actual == _released(train, heldout, pick)


@pytest.mark.parametrize("pick", ["nearest", "farthest"])
def test_equals_the_released_code_on_a_large_pool(pick):
  rng = np.random.default_rng(7)
  train = rng.integers(-2, 3, (3000, 4)).astype(np.float32)
  heldout = rng.integers(-2, 3, (200, 4)).astype(np.float32)
  actual = list(itertools.chain(*_all_rounds(train, heldout, pick, 3000)))
  assert actual == _released(train, heldout, pick)


def test_both_picks_in_one_pass_equal_single_passes():
  train, heldout = pools.tied(3)
  pair = turns.rounds(
      pools.embedded(train),
      pools.embedded(heldout),
      ("nearest", "farthest"),
      10,
  )
  for walk, pick in zip(pair, ("nearest", "farthest"), strict=True):
    assert [picked.rows.tolist() for picked in walk] == _all_rounds(
        train, heldout, pick, 10
    )


def test_a_row_picked_twice_has_the_nearest_key():
  walk = turns.rounds(
      pools.embedded([[0.5, 0.9], [0.1, 0.2]]),
      pools.embedded(np.eye(2)),
      ("nearest",),
      2,
  )[0]
  first, second = walk
  assert (first.rows.tolist(), second.rows.tolist()) == ([0], [1])
  np.testing.assert_array_equal(first.keys, np.float32([-0.9]))
