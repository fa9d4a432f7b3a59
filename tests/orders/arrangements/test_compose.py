"""Orders put together from orders."""

import numpy as np
import pools
import pytest

from zsgen.core import config, errors
from zsgen.orders import arrangements

TASKS = np.array([0, 0, 0, 1, 1, 1, 1, 2, 2], np.int32)


def _pool():
  rng = np.random.default_rng(4)
  return pools.make(rng.random((9, 3)), tasks=TASKS)


def _arrange(seed=0, pool=None, **order):
  checked = config.check({"order": order}).order
  return arrangements.arrange(checked, pool or _pool(), seed)


def _rows(**order):
  return _arrange(**order).rows.tolist()


NEAREST = dict(arrangement="similarity", measure="cosine_min")
FARTHEST = NEAREST | dict(pick="farthest")
ROBIN = dict(arrangement="round_robin")


def test_concatenate_keeps_first_positions_and_counts_repeats():
  first = dict(arrangement="take", stop=4, parts=(NEAREST,))
  actual = _arrange(arrangement="concatenate", parts=(first, ROBIN))
  head = _rows(**NEAREST)[:4]
  rest = [row for row in _rows(**ROBIN) if row not in head]
  assert actual.rows.tolist() == head + rest
  assert actual.notes["in_several"] == 4
  cut = _rows(arrangement="concatenate", parts=(first, ROBIN), budget=6)
  assert cut == (head + rest)[:6]


def test_interleave_takes_turns():
  actual = _rows(
      arrangement="interleave",
      turns=(2, 1),
      parts=(
          dict(arrangement="take", stop=4, parts=(ROBIN,)),
          dict(arrangement="take", start=4, parts=(ROBIN,)),
      ),
  )
  r = _rows(**ROBIN)
  assert actual == [r[0], r[1], r[4], r[2], r[3], r[5], r[6], r[7], r[8]]


def test_reverse_and_take():
  r = _rows(**ROBIN)
  assert _rows(arrangement="reverse", parts=(ROBIN,)) == r[::-1]
  assert _rows(arrangement="take", start=2, stop=5, parts=(ROBIN,)) == r[2:5]
  assert _rows(arrangement="take", spread=4, parts=(ROBIN,)) == r[::2]
  short = _arrange(arrangement="take", stop=12, parts=(ROBIN,))
  assert short.rows.tolist() == r
  assert short.notes["short"] == 3


def test_repeat_counts_epochs():
  shuffle = dict(arrangement="random")
  actual = _arrange(arrangement="repeat", epochs=3, parts=(shuffle,))
  assert actual.epochs.tolist() == np.repeat(range(3), 9).tolist()
  assert actual.rows.tolist() == _rows(**shuffle) * 3
  fresh = _arrange(arrangement="repeat", epochs=3, fresh=True, parts=(shuffle,))
  epochs = fresh.rows.reshape(3, 9)
  assert epochs[0].tolist() == _rows(**shuffle)
  assert len({tuple(epoch) for epoch in epochs.tolist()}) == 3
  assert all(sorted(epoch) == list(range(9)) for epoch in epochs.tolist())


def test_by_task_arranges_each_task_separately():
  actual = _arrange(
      arrangement="by_task",
      parts=(dict(arrangement="take", stop=3, parts=(NEAREST,)),),
  )
  assert TASKS[actual.rows].tolist() == [0, 0, 0, 1, 1, 1, 2, 2]
  assert (actual.notes["tasks"], actual.notes["short"]) == (3, 1)
  nearest = _rows(**NEAREST)
  for task in range(3):
    inside = [row for row in nearest if TASKS[row] == task][:3]
    rows = [row for row in actual.rows.tolist() if TASKS[row] == task]
    assert rows == inside


def test_polar_selection():
  """Checks spec E9: the nearest and the farthest of each task, then sorted."""
  ends = dict(
      arrangement="concatenate",
      parts=(
          dict(arrangement="take", stop=1, parts=(NEAREST,)),
          dict(arrangement="take", stop=1, parts=(FARTHEST,)),
      ),
  )
  ends_by_task = dict(arrangement="by_task", parts=(ends,))
  actual = _rows(arrangement="within", parts=(ends_by_task, NEAREST))
  nearest = _rows(**NEAREST)
  expected = set()
  for task in range(3):
    inside = [row for row in nearest if TASKS[row] == task]
    expected |= {inside[0], inside[-1]}
  assert actual == [row for row in nearest if row in expected]


def test_within_shuffles_a_set():
  subset = dict(arrangement="take", stop=5, parts=(NEAREST,))
  actual = _rows(
      arrangement="within", parts=(subset, {"arrangement": "random"})
  )
  assert sorted(actual) == sorted(_rows(**NEAREST)[:5])


def test_first_rounds_then_random():
  actual = _arrange(
      arrangement="concatenate",
      parts=(
          dict(arrangement="tmt", rounds=(0, 1)),
          dict(arrangement="random"),
      ),
      budget=7,
  )
  picked = _arrange(arrangement="tmt", rounds=(0, 1))
  assert actual.rows[: len(picked)].tolist() == picked.rows.tolist()
  assert (actual.rounds > 0).sum() == len(picked)
  assert len(set(actual.rows.tolist())) == 7


def test_parts_inherit_the_target_and_may_override_options():
  parts = (dict(arrangement="tmt"), dict(arrangement="tmt", text="prompt"))
  order = config.check(
      {"order": dict(arrangement="concatenate", target="far", parts=parts)}
  ).order
  assert [part.target for part in order.parts] == ["far", "far"]
  assert [part.text for part in order.parts] == ["prompt+answer", "prompt"]


@pytest.mark.parametrize(
    "order, message",
    [
        (dict(arrangement="concatenate"), "needs at least one part"),
        (
            dict(arrangement="reverse", parts=(NEAREST, FARTHEST)),
            "one part, not 2",
        ),
        (
            dict(
                arrangement="interleave", turns=(1,), parts=(NEAREST, FARTHEST)
            ),
            "1 numbers for 2 parts",
        ),
        (dict(arrangement="concatenate", parts=(NEAREST,), budget=9), None),
        (
            dict(
                arrangement="concatenate",
                parts=(dict(arrangement="take", stop=3, parts=(NEAREST,)),),
                budget=4,
            ),
            "parts have 3",
        ),
        (dict(arrangement="take", start=9, parts=(NEAREST,)), "no example"),
        (
            dict(
                arrangement="within",
                parts=(
                    dict(arrangement="repeat", epochs=2, parts=(NEAREST,)),
                    NEAREST,
                ),
            ),
            "several epochs",
        ),
        (
            dict(arrangement="reverse", parts=(dict(arrangment="tmt"),)),
            r"config.order.parts\[0\].arrangment is not an option",
        ),
        (dict(arrangement="tmt", rounds=3), "must be a tuple"),
        (dict(arrangement="tmt", rounds=(0, "x")), r"rounds\[1\] must be"),
    ],
)
def test_impossible_options_are_errors(order, message):
  if message is None:
    assert len(_arrange(**order)) == 9
    return
  with pytest.raises(errors.InputError, match=message):
    _arrange(**order)
