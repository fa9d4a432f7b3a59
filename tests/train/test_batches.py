"""Batches: exact ids, and layouts that hold every token once."""

import numpy as np
import pytest

from zsgen.core import errors
from zsgen.data import store as store_lib
from zsgen.train import batches


def _examples(lengths, first=10):
  rows = [
      store_lib.TokenRow(
          np.arange(n, dtype=np.uint32) + 100 * i,
          (np.arange(n) > n // 2).astype(np.uint8),
      )
      for i, n in enumerate(lengths)
  ]
  ids = np.arange(first, first + len(lengths))
  ids[np.array(lengths) == 0] = batches.NO_EXAMPLE
  return batches.Examples(ids, rows)


def test_ids_of_covers_the_order_once():
  order = np.arange(100, 110)
  steps = batches.steps_of(order, 4)
  assert steps == 3
  found = np.concatenate([batches.ids_of(order, 4, s) for s in range(steps)])
  assert found.tolist() == [*order.tolist(), -1, -1]


def test_best_fit_takes_the_fullest_row_that_fits():
  assert batches.best_fit([5, 7, 3, 2, 0], 10) == [[1, 2], [0, 3]]
  assert batches.best_fit([4, 4, 4], 10) == [[0, 1], [2]]
  assert batches.best_fit([], 10) == []


@pytest.mark.parametrize("seed", range(20))
def test_lay_out_holds_every_token_once(seed):
  rng = np.random.default_rng(seed)
  lengths = rng.integers(0, 65, size=12).tolist()
  examples = _examples(lengths)
  layouts = batches.plan(
      np.array(lengths), 64, batch_size=12, shards=2, shapes=1
  )
  batch = batches.lay_out(examples, layouts)
  assert batch.tokens.shape[0] % 2 == 0
  for slot, row in enumerate(examples.rows):
    where = batch.segments == slot + 1
    assert len(set(np.nonzero(where)[0])) <= 1
    assert batch.tokens[where].tolist() == row.tokens.tolist()
    assert batch.mask[where].tolist() == row.mask.tolist()
    assert batch.positions[where].tolist() == list(range(len(row.tokens)))
  assert (batch.segments > 0).sum() == sum(lengths)
  assert not batch.mask[batch.segments == 0].any()


def test_plan_gives_few_shapes_that_hold_every_step():
  rng = np.random.default_rng(0)
  lengths = rng.integers(1, 100, size=160)
  layouts = batches.plan(lengths, 120, batch_size=16, shards=1, shapes=3)
  assert layouts.length == 128
  assert 1 <= len(layouts.rows) <= 3
  for step in range(10):
    needed = batches.best_fit(lengths[step * 16 : step * 16 + 16].tolist(), 128)
    assert layouts.rows_for(len(needed)) >= len(needed)


def test_plan_knows_how_often_each_shape_is_used():
  # Two steps of one row, one of two rows; the last step is half full.
  lengths = np.array([30, 34, 20, 40, 60, 60, 64])
  layouts = batches.plan(lengths, 64, batch_size=2, shards=1, shapes=2)
  assert layouts.rows == (1, 2)
  assert layouts.shares == (0.75, 0.25)
  assert layouts.padding == 1 - 308 / (5 * 64)
  assert layouts.describe() == (
      "1 x 64 tokens (75% of steps) and 2 x 64 tokens (25% of steps): 2"
      " programs; 4% padding"
  )


def test_padding_counts_rows_that_a_mesh_needs():
  layouts = batches.plan(np.full(4, 64), 64, batch_size=2, shards=4, shapes=2)
  assert layouts.rows == (4,)
  assert layouts.padding == 0.5
  assert layouts.describe().endswith("(100% of steps): 1 program; 50% padding")


def test_an_example_longer_than_a_row_is_an_error():
  with pytest.raises(errors.InputError, match="example 11 has 70 tokens"):
    batches.lay_out(_examples([3, 70]), batches.Layouts((1,), 64))
