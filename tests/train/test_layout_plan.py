"""The plan of an order: few shapes, in which every step fits."""

import numpy as np
import pytest

from zsgen.core import errors
from zsgen.train import batches, layout_plan, layouts, packing, shape_search

BATCH = 8


def _order(steps, seed=0, longest=200) -> layouts.Lengths:
  """Examples of skewed lengths; the last step is half full."""
  rng = np.random.default_rng(seed)
  count = steps * BATCH - BATCH // 2
  tokens = 1 + (rng.beta(1, 3, count) * longest).astype(int)
  return layouts.Lengths(tokens, rng.integers(0, tokens + 1))


def _check(planned, orders):
  """Checks that every step of every order fits its shape, tightly."""
  used = {shape: np.zeros(2, int) for shape in planned.shapes}
  for member, order in enumerate(orders):
    for step in range(len(planned.steps)):
      shape, rows = planned.shape(step), planned.rows[member, step]
      lengths = order.of_step(step, BATCH)
      count = len(lengths.tokens)
      tokens = np.bincount(rows[:count], lengths.tokens, shape.rows)
      loss = packing.count_loss(
          rows[None, :count], shape.rows, lengths.loss[None], planned.split
      )
      assert len(tokens) == shape.rows
      assert shape.rows % planned.split.row_step == 0
      assert tokens.max() <= shape.length and loss.max() <= shape.loss_slots
      used[shape] = np.maximum(used[shape], [tokens.max(), loss.max()])
  for shape, (tokens, loss) in used.items():
    assert shape.length == planned.split.round_length(tokens)
    assert shape == layouts.shape_for(
        shape.rows, shape.length, planned.split, loss
    )


@pytest.mark.parametrize(
    "split", [(1, 1), (4, 1), (2, 2), (1, 1, 4), (2, 2, 3)]
)
@pytest.mark.parametrize("limit", [1, 3, 8])
def test_every_step_fits_its_shape(split, limit):
  split = layouts.Split(*split)
  orders = [_order(400)]
  planned = layout_plan.plan(orders, BATCH, split, limit)
  assert 1 <= len(planned.shapes) <= limit
  assert planned.rows.shape == (1, 400, BATCH)
  assert list(planned.shapes) == sorted(planned.shapes)
  assert set(planned.steps.tolist()) == set(range(len(planned.shapes)))
  _check(planned, orders)
  slots = sum(s.rows * s.length for s in map(planned.shape, range(400)))
  assert planned.padding == 1 - orders[0].tokens.sum() / slots


def test_more_devices_than_a_row_has_positions_are_an_error():
  orders, split = [_order(4, longest=20)], layouts.Split(context=64)
  with pytest.raises(
      errors.InputError, match=r"mesh.context is 64.* row of 32"
  ):
    layout_plan.plan(orders, BATCH, split, 8)


def test_split_positions_need_fewer_logits_on_each_device():
  orders = [_order(100)]
  unsplit = layout_plan.plan(orders, BATCH, layouts.Split(2), 1).largest
  split = layout_plan.plan(orders, BATCH, layouts.Split(2, 1, 2), 1).largest
  assert unsplit.rows == split.rows
  half = layouts.round_up(unsplit.loss_slots // 2, layouts.LOSS_STEP)
  assert split.loss_slots == half


def test_the_plan_depends_on_the_order_alone():
  orders = [_order(50)]
  first = layout_plan.plan(orders, BATCH, layouts.Split(), 8)
  repeated = layout_plan.plan(orders, BATCH, layouts.Split(), 8)
  assert first.shapes == repeated.shapes
  np.testing.assert_array_equal(first.steps, repeated.steps)
  np.testing.assert_array_equal(first.rows, repeated.rows)


def test_more_shapes_have_less_padding():
  orders = [_order(300)]
  paddings = tuple(
      layout_plan.plan(orders, BATCH, layouts.Split(), limit).padding
      for limit in (1, 2, 8)
  )
  assert paddings[2] < paddings[1] < paddings[0]
  assert paddings[2] < 0.12


def test_shapes_hold_the_steps_of_all_members():
  orders = [_order(60, seed) for seed in range(3)]
  planned = layout_plan.plan(orders, BATCH, layouts.Split(), 4)
  assert planned.rows.shape == (3, 60, BATCH)
  _check(planned, orders)


def test_a_step_that_no_sample_has_still_fits():
  tokens = np.full(BATCH * 3000, 20)
  # A step of many tokens for its longest example, which is not extreme.
  tokens[8 * 1001 : 8 * 1002] = 27
  tokens[8 * 5 : 8 * 10 : 8] = 600
  tokens[8 * 2001 : 8 * 2001 + 4] = 57
  orders = [layouts.Lengths(tokens, tokens // 2)]
  planned = layout_plan.plan(orders, BATCH, layouts.Split(2), 2)
  assert len(planned.shapes) <= 2
  _check(planned, orders)


def test_steps_that_fit_no_shape_enlarge_one(monkeypatch):
  fixed = [layouts.Shape(2, 64, 16), layouts.Shape(8, 64, 16)]
  monkeypatch.setattr(shape_search, "choose", lambda *unused: list(fixed))
  orders = [_order(40, longest=150)]
  planned = layout_plan.plan(orders, BATCH, layouts.Split(), 2)
  assert {shape.rows for shape in planned.shapes} <= {2, 8}
  _check(planned, orders)


def test_programs_are_needed_one_after_the_other():
  orders = [_order(400)]
  planned = layout_plan.plan(orders, BATCH, layouts.Split(), 6)
  first = sorted(
      int(np.flatnonzero(planned.steps == i)[0])
      for i in range(len(planned.shapes))
  )
  assert len(first) > 3 and first[0] == 0
  # Every 2% of the steps; a step that fits no other shape may come first.
  assert np.median(np.diff(first)) >= 8


def test_a_program_must_be_worth_its_compilation():
  # One step of ten is half as long: a program for it would save half a step.
  tokens = np.full(10 * BATCH, 64)
  tokens[:BATCH] = 32
  order = layouts.Lengths(tokens, tokens)
  assert len(layout_plan.plan([order], BATCH, layouts.Split(), 8).shapes) == 1
  tokens[: 3 * BATCH] = 32
  planned = layout_plan.plan([order], BATCH, layouts.Split(), 8)
  assert len(planned.shapes) == 2


def test_rows_may_be_longer_than_the_longest_example():
  orders = [layouts.Lengths(np.full(40, 48), np.full(40, 48))]
  planned = layout_plan.plan(orders, 4, layouts.Split(), 8)
  assert [shape[:2] for shape in planned.shapes] == [(2, 96)]


def test_attention_makes_rows_shorter():
  orders = [_order(100)]
  attention = shape_search.Cost(1, 1, {0: 1}, 0)
  slots, pairs = (
      layout_plan.plan(orders, BATCH, layouts.Split(), 8, cost)
      for cost in (shape_search.SLOTS, attention)
  )
  longest = [max(s.length for s in p.shapes) for p in (slots, pairs)]
  assert longest[1] <= longest[0]

  def total(planned):
    return sum(
        attention.of_shape(planned.shape(step), 1) for step in range(100)
    )

  assert total(pairs) < total(slots)


def test_the_logits_of_a_large_vocabulary_have_shapes_of_their_own():
  # Half of the steps have four times as much loss.
  tokens = np.full(100 * BATCH, 60)
  loss = np.where(np.arange(100 * BATCH) // BATCH % 2, 40, 10)
  orders = [layouts.Lengths(tokens, loss)]
  head = shape_search.Cost(1, 0, {}, 10)
  planned = layout_plan.plan(orders, BATCH, layouts.Split(), 8, head)
  assert sorted(shape.loss_slots for shape in planned.shapes) == [80, 320]
  planned = layout_plan.plan(orders, BATCH, layouts.Split(), 8)
  assert [shape.loss_slots for shape in planned.shapes] == [320]


def test_large_batches_are_planned():
  rng = np.random.default_rng(0)
  tokens = rng.integers(1, 300, 512 * 6)
  orders = [layouts.Lengths(tokens, tokens // 5)]
  planned = layout_plan.plan(orders, 512, layouts.Split(4), 8)
  assert planned.padding < 0.1
  assert batches.steps_of(tokens, 512) == len(planned.steps) == 6
