"""Layouts: every token once, in shapes that are chosen beforehand."""

import numpy as np
import pytest

from zsgen.core import errors
from zsgen.data import store as store_lib
from zsgen.train import batches, layouts


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


def _lengths(lengths) -> layouts.Lengths:
  """Sizes of examples whose second half carries loss."""
  tokens = np.array(lengths)
  return layouts.Lengths(tokens, np.maximum(tokens - tokens // 2 - 1, 0))


def test_best_fit_takes_the_fullest_row_that_fits():
  assert layouts.best_fit([5, 7, 3, 2, 0], 10) == [[1, 2], [0, 3]]
  assert layouts.best_fit([4, 4, 4], 10) == [[0, 1], [2]]
  assert layouts.best_fit([], 10) == []


@pytest.mark.parametrize("seed", range(20))
def test_lay_out_holds_every_token_once(seed):
  rng = np.random.default_rng(seed)
  lengths = rng.integers(0, 65, size=12).tolist()
  examples = _examples(lengths)
  split = layouts.Split(shards=2)
  (shape,) = layouts.plan([_lengths(lengths)], 12, split, limit=1).shapes
  batch = layouts.lay_out(examples, shape, split)
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
  lengths = _lengths(rng.integers(1, 100, size=160))
  split = layouts.Split(shards=2, parts=2)
  planned = layouts.plan([lengths], 16, split, limit=3)
  assert 1 <= len(planned.shapes) <= 3
  for step in range(10):
    shape = planned.shape(step)
    needed = lengths.of_step(step, 16)
    examples = _examples(needed.tokens.tolist())
    batch = layouts.lay_out(examples, shape, split)
    assert batch.tokens.shape == (shape.rows, shape.length)
    assert (batch.segments > 0).sum() == needed.tokens.sum()
    # Row groups: consecutive rows of a shard, every second of them.
    groups = batch.mask.reshape(2, -1, 2, shape.length).sum((1, 3))
    assert groups.max() <= shape.loss_slots
    assert shape.loss_slots <= shape.rows // 4 * shape.length


def test_plan_knows_how_often_each_shape_is_used():
  # Two steps of one row, one of two rows; the last step is half full.
  lengths = _lengths([30, 34, 20, 40, 60, 60, 64])
  planned = layouts.plan([lengths], 2, layouts.Split(), limit=2)
  assert [shape[:2] for shape in planned.shapes] == [(1, 64), (2, 64)]
  assert planned.steps.tolist() == [0, 0, 1, 0]
  assert planned.padding == 1 - 308 / (5 * 64)
  assert planned.describe() == (
      "1 x 64 tokens (75% of steps) and 2 x 64 tokens (25% of steps): 2"
      " programs; 4% padding"
  )


def test_shapes_hold_the_steps_of_all_members():
  orders = [_lengths([30, 34, 60, 60]), _lengths([60, 60, 30, 34])]
  planned = layouts.plan(orders, 2, layouts.Split(), limit=2)
  assert [planned.shape(step).rows for step in range(2)] == [2, 2]


def test_padding_counts_rows_that_a_mesh_needs():
  lengths = _lengths(np.full(4, 64))
  planned = layouts.plan([lengths], 2, layouts.Split(shards=4), limit=2)
  assert planned.shape(0).rows == 4
  assert planned.padding == 0.5
  assert planned.describe().endswith("(100% of steps): 1 program; 50% padding")


def test_an_example_longer_than_a_row_is_an_error():
  with pytest.raises(errors.InputError, match="example 11 has 70 tokens"):
    layouts.lay_out(
        _examples([3, 70]), layouts.Shape(1, 64, 64), layouts.Split()
    )
