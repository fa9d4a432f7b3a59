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
  rows, length = layouts.largest(np.array(lengths), 12, split)
  shape = layouts.shape_for(rows, length, split, sum(lengths))
  batch = layouts.lay_out(examples, shape, split)
  assert batch.tokens.shape[0] % 2 == 0
  for slot, row in enumerate(examples.rows):
    in_slot = batch.segments == slot + 1
    assert len(set(np.nonzero(in_slot)[0])) <= 1
    assert batch.tokens[in_slot].tolist() == row.tokens.tolist()
    assert batch.mask[in_slot].tolist() == row.mask.tolist()
    assert batch.positions[in_slot].tolist() == list(range(len(row.tokens)))
  assert (batch.segments > 0).sum() == sum(lengths)
  assert not batch.mask[batch.segments == 0].any()


def test_the_line_has_padding_logits_and_shares():
  planned = layouts.Layouts(
      shapes=(layouts.Shape(1, 64, 16), layouts.Shape(2, 1024, 32)),
      steps=np.array([0, 1, 0, 0]),
      rows=np.zeros((1, 4, 2), np.int32),
      split=layouts.Split(),
      padding=0.125,
  )
  assert planned.describe() == (
      "12% padding, logits at 4% of positions, 2 programs; rows x tokens (share"
      " of steps): 1 x 64 (75%), 2 x 1,024 (25%)"
  )
  assert planned.needed(0) == [planned.shapes[0], planned.shapes[1]]
  assert planned.needed(1) == [planned.shapes[1], planned.shapes[0]]
  assert planned.needed(2) == [planned.shapes[0]]
  assert planned.needed(4) == []


def test_an_example_longer_than_a_row_is_an_error():
  with pytest.raises(errors.InputError, match="example 11 has 70 tokens"):
    layouts.lay_out(
        _examples([3, 70]), layouts.Shape(1, 64, 64), layouts.Split()
    )


def test_rows_that_were_planned_for_other_lengths_are_an_error():
  examples, split = _examples([30, 40]), layouts.Split()
  rows = np.zeros(2, np.int32)
  with pytest.raises(errors.InputError, match="rows of up to 70 tokens"):
    layouts.lay_out(examples, layouts.Shape(2, 64, 64), split, rows)
  with pytest.raises(errors.InputError, match="2 rows of up to 40 tokens"):
    layouts.lay_out(examples, layouts.Shape(1, 64, 64), split)
