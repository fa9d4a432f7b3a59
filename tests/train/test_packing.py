"""Packing: short rows, and row groups with about as much loss."""

import itertools

import numpy as np
import pytest

from zsgen.data import store as store_lib
from zsgen.train import batches, layouts, packing


def _loads(lengths, assigned, rows):
  loads = np.zeros((len(lengths), rows), np.int64)
  steps = np.arange(len(lengths))[:, None]
  np.add.at(loads, (steps, assigned), lengths)
  return loads


@pytest.mark.parametrize("rows", [1, 2, 5, 12, 20])
def test_rows_hold_each_example_once(rows):
  rng = np.random.default_rng(rows)
  lengths = rng.integers(0, 200, (50, 12))
  assigned, loads = packing.spread(lengths, rows)
  assert assigned.min() >= 0 and assigned.max() < rows
  np.testing.assert_array_equal(loads, _loads(lengths, assigned, rows))
  # A third above what no packing is below, as of longest first.
  bound = np.maximum(lengths.max(1), -(-lengths.sum(1) // rows))
  assert (loads.max(1) * 3 <= bound * 4).all()


def test_exchanges_find_the_shortest_rows_of_small_steps():
  rng = np.random.default_rng(0)
  lengths = rng.integers(1, 30, (40, 6))
  _, loads = packing.spread(lengths, 2)
  signs = np.array(list(itertools.product([0, 1], repeat=6)))
  best = np.maximum(lengths @ signs.T, lengths @ (1 - signs).T).min(1)
  assert (loads.max(1) == best).mean() > 0.8
  # Longest first single packs 3, 3, 2, 2, 2 as 3 2 2 and 3 2.
  _, loads = packing.spread(np.array([[3, 3, 2, 2, 2]]), 2)
  assert sorted(loads[0]) == [6, 6]


def test_a_target_stops_early_and_steps_are_packed_separately():
  rng = np.random.default_rng(1)
  lengths = rng.integers(1, 200, (30, 16))
  assigned, loads = packing.spread(lengths, 4)
  for step in range(len(lengths)):
    single, _ = packing.spread(lengths[step : step + 1], 4)
    np.testing.assert_array_equal(single[0], assigned[step])
  target = int(loads.max()) + 20
  _, early = packing.spread(lengths, 4, target)
  assert early.max() <= target
  assert (early.max(1) >= loads.max(1)).all()


@pytest.mark.parametrize("shards, parts", [(1, 1), (2, 1), (1, 2), (4, 2)])
def test_row_groups_have_about_equal_loss(shards, parts):
  split = layouts.Split(shards, parts)
  rng = np.random.default_rng(2)
  rows, lengths = 16, rng.integers(0, 60, (20, 24))
  loss = lengths // 3
  assigned, loads = packing.spread(lengths, rows)
  placed, groups = packing.place_rows(assigned, rows, loss, split)
  # The same rows, elsewhere.
  np.testing.assert_array_equal(
      np.sort(_loads(lengths, placed, rows)), np.sort(loads)
  )
  expected = np.zeros((20, split.groups), np.int64)
  steps = np.arange(20)[:, None]
  np.add.at(expected, (steps, split.group(placed, rows)), loss)
  np.testing.assert_array_equal(groups, expected)
  in_order = np.zeros_like(expected)
  np.add.at(in_order, (steps, split.group(assigned, rows)), loss)
  assert groups.max(1).mean() <= in_order.max(1).mean()


@pytest.mark.parametrize("split", [(1, 1, 1), (2, 2, 1), (2, 2, 8)])
def test_counts_are_the_slots_that_a_batch_uses(split):
  split, rng = layouts.Split(*split), np.random.default_rng(3)
  rows, length = 8, 256
  tokens = rng.integers(0, 60, (20, 24))
  assigned, _ = packing.spread(tokens, rows)
  # The first token of an example has no logits, and here no loss.
  masks = [
      [(np.arange(n) > 0) & (rng.random(n) < 0.4) for n in step]
      for step in tokens
  ]
  loss = np.array([[mask.sum() for mask in step] for step in masks])
  counts = packing.count_loss(assigned, rows, loss, split)
  used = np.array(
      [
          _slots_used(step, placed, (rows, length), split)
          for step, placed in zip(masks, assigned, strict=True)
      ]
  )
  # The shares of a row group are beside each other, on an axis of their own.
  shares = used.reshape(20, split.shards, split.context, split.parts)
  largest = shares.max(2).reshape(20, -1)
  np.testing.assert_array_equal(largest, counts)


def _slots_used(masks, rows, size, split):
  """The slots of each share that a step uses."""
  examples = batches.Examples(
      np.arange(len(masks)),
      [
          store_lib.TokenRow(np.zeros(len(mask), np.uint32), mask)
          for mask in masks
      ],
  )
  shape = layouts.Shape(*size, 0)
  shape = shape._replace(loss_slots=split.positions(shape))
  batch = layouts.lay_out(examples, shape, split, rows)
  return (batch.loss_positions > 0).sum(1)


def test_shards_are_consecutive_and_parts_alternate():
  split = layouts.Split(shards=2, parts=2)
  assert split.groups == 4
  assert split.group(np.arange(8), 8).tolist() == [0, 1, 0, 1, 2, 3, 2, 3]
  split = split._replace(context=2)
  assert (split.groups, split.row_step) == (8, 4)
  assert split.group(np.arange(8), 8).tolist() == [0, 1, 0, 1, 2, 3, 2, 3]
  assert split.share(np.array([0, 1, 4])).tolist() == [0, 1, 2]
