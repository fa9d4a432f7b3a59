"""Orders put together from orders."""

import numpy as np
import pools
import pytest

from zsgen.core import config, errors
from zsgen.orders import arrangements

TASKS = np.array([0, 0, 0, 1, 1, 1, 1, 2, 2], np.int32)


def _pool():
  rng = np.random.default_rng(4)
  return pools.of(rng.random((9, 3)), tasks=TASKS)


def _arrange(seed=0, pool=None, **order):
  checked = config.check({"order": order}).order
  return arrangements.arrange(checked, pool or _pool(), seed)


def _rows(**order):
  return _arrange(**order).rows.tolist()


NEAR = dict(arrangement="similarity", measure="cosine_min")
FAR = NEAR | dict(pick="farthest")
ROBIN = dict(arrangement="round_robin")


def test_concatenate_keeps_first_places_and_tells():
  first = dict(arrangement="take", stop=4, parts=(NEAR,))
  found = _arrange(arrangement="concatenate", parts=(first, ROBIN))
  head = _rows(**NEAR)[:4]
  rest = [row for row in _rows(**ROBIN) if row not in head]
  assert found.rows.tolist() == head + rest
  assert found.notes["in_several"] == 4
  cut = _rows(arrangement="concatenate", parts=(first, ROBIN), budget=6)
  assert cut == (head + rest)[:6]


def test_interleave_takes_turns():
  found = _rows(
      arrangement="interleave",
      turns=(2, 1),
      parts=(
          dict(arrangement="take", stop=4, parts=(ROBIN,)),
          dict(arrangement="take", start=4, parts=(ROBIN,)),
      ),
  )
  r = _rows(**ROBIN)
  assert found == [r[0], r[1], r[4], r[2], r[3], r[5], r[6], r[7], r[8]]


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
  found = _arrange(arrangement="repeat", epochs=3, parts=(shuffle,))
  assert found.epochs.tolist() == np.repeat(range(3), 9).tolist()
  assert found.rows.tolist() == _rows(**shuffle) * 3
  fresh = _arrange(arrangement="repeat", epochs=3, fresh=True, parts=(shuffle,))
  epochs = fresh.rows.reshape(3, 9)
  assert epochs[0].tolist() == _rows(**shuffle)
  assert len({tuple(epoch) for epoch in epochs.tolist()}) == 3
  assert all(sorted(epoch) == list(range(9)) for epoch in epochs.tolist())


def test_by_task_arranges_each_task_alone():
  found = _arrange(
      arrangement="by_task",
      parts=(dict(arrangement="take", stop=3, parts=(NEAR,)),),
  )
  assert TASKS[found.rows].tolist() == [0, 0, 0, 1, 1, 1, 2, 2]
  assert (found.notes["tasks"], found.notes["short"]) == (3, 1)
  near = _rows(**NEAR)
  for task in range(3):
    inside = [row for row in near if TASKS[row] == task][:3]
    own = [row for row in found.rows.tolist() if TASKS[row] == task]
    assert own == inside


def test_polar_selection():
  """Spec E9: of each task the nearest and the farthest, then sorted."""
  ends = dict(
      arrangement="concatenate",
      parts=(
          dict(arrangement="take", stop=1, parts=(NEAR,)),
          dict(arrangement="take", stop=1, parts=(FAR,)),
      ),
  )
  chosen = dict(arrangement="by_task", parts=(ends,))
  found = _rows(arrangement="within", parts=(chosen, NEAR))
  near = _rows(**NEAR)
  expected = set()
  for task in range(3):
    inside = [row for row in near if TASKS[row] == task]
    expected |= {inside[0], inside[-1]}
  assert found == [row for row in near if row in expected]


def test_within_shuffles_a_set():
  chosen = dict(arrangement="take", stop=5, parts=(NEAR,))
  found = _rows(arrangement="within", parts=(chosen, {"arrangement": "random"}))
  assert sorted(found) == sorted(_rows(**NEAR)[:5])


def test_first_rounds_then_random():
  found = _arrange(
      arrangement="concatenate",
      parts=(
          dict(arrangement="tmt", rounds=(0, 1)),
          dict(arrangement="random"),
      ),
      budget=7,
  )
  picked = _arrange(arrangement="tmt", rounds=(0, 1))
  assert found.rows[: len(picked)].tolist() == picked.rows.tolist()
  assert (found.rounds > 0).sum() == len(picked)
  assert len(set(found.rows.tolist())) == 7


def test_parts_look_where_the_whole_looks_unless_they_say_otherwise():
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
        (dict(arrangement="reverse", parts=(NEAR, FAR)), "one part, not 2"),
        (
            dict(arrangement="interleave", turns=(1,), parts=(NEAR, FAR)),
            "1 numbers for 2 parts",
        ),
        (dict(arrangement="concatenate", parts=(NEAR,), budget=9), None),
        (
            dict(
                arrangement="concatenate",
                parts=(dict(arrangement="take", stop=3, parts=(NEAR,)),),
                budget=4,
            ),
            "parts have 3",
        ),
        (dict(arrangement="take", start=9, parts=(NEAR,)), "no example"),
        (
            dict(
                arrangement="within",
                parts=(
                    dict(arrangement="repeat", epochs=2, parts=(NEAR,)),
                    NEAR,
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
def test_what_cannot_be_is_an_error(order, message):
  if message is None:
    assert len(_arrange(**order)) == 9
    return
  with pytest.raises(errors.InputError, match=message):
    _arrange(**order)
