"""TMT against the worked example and a restatement of the released code."""

import numpy as np
import pools
import pytest

from tests.helpers import released_code
from zsgen.core import errors
from zsgen.orders import pool as pool_lib
from zsgen.orders.arrangements import tmt

WORKED = pools.WORKED


def _arrange(similarity, budget, pick="nearest", **options):
  """Arranges by a similarity [N, M]: held-out points are unit vectors."""
  pool = pools.make(np.asarray(similarity, np.float32))
  return _tmt(pool, budget, pick, **options)


def _tmt(pool, budget, pick, **options):
  seed = options.pop("seed", 0)
  settings = tmt.Options(budget=budget, pick=pick, **options)
  settings.check("config.order")
  return tmt.tmt(pool, settings, seed)


def test_worked_example_with_the_whole_pool():
  order = _arrange(WORKED, 6)
  assert order.rows.tolist() == [0, 1, 3, 2, 4, 5]
  assert order.rounds.tolist() == [1, 1, 1, 2, 2, 3]
  np.testing.assert_allclose(
      order.distances, [0.1, 0.3, 0.35, 0.1, 0.4, 0.4], rtol=1e-6
  )
  assert order.notes == dict(rounds=3, cut_from_last_round=0)
  assert _arrange(WORKED, 3, "farthest").rows.tolist() == [0, 3, 4]


def test_the_last_round_is_cut_to_its_nearest_rows():
  order = _arrange(WORKED, 2)
  assert order.rows.tolist() == [0, 1]  # 3 was picked at .65 only.
  assert order.notes == dict(rounds=1, cut_from_last_round=1)
  assert _arrange(WORKED, 4).rows.tolist() == [0, 1, 3, 2]


def test_the_last_round_is_cut_to_its_farthest_rows_and_ascends():
  # Each point's farthest row: 3 (.1), 4 (.1) and 0 (.1): a tie.
  order = _arrange(WORKED, 2, "farthest")
  assert order.rows.tolist() == [0, 3]
  similarity = [[0.5, 0.9, 0.9], [0.9, 0.4, 0.9], [0.9, 0.9, 0.1]]
  order = _arrange(similarity, 2, "farthest")
  assert order.rows.tolist() == [1, 2]
  np.testing.assert_allclose(order.distances, [0.6, 0.9], rtol=1e-6)


def test_reversed_turns_every_element_round():
  plain, turned = _arrange(WORKED, 5), _arrange(WORKED, 5, sequence="reversed")
  for name in ("rows", "rounds", "distances"):
    np.testing.assert_array_equal(
        getattr(turned, name), getattr(plain, name)[::-1]
    )


def test_shuffled_is_the_same_set_and_follows_the_seed():
  rng = np.random.default_rng(0)
  similarity = rng.random((40, 3))
  plain = _arrange(similarity, 30)
  first, second = (
      _arrange(similarity, 30, sequence="shuffled", seed=i) for i in (1, 2)
  )
  assert first.rows.tolist() != second.rows.tolist()
  assert sorted(first.rows) == sorted(second.rows) == sorted(plain.rows)
  rounds = dict(zip(plain.rows, plain.rounds, strict=True))
  assert [rounds[row] for row in first.rows] == first.rounds.tolist()


@pytest.mark.parametrize("pick", ["nearest", "farthest"])
@pytest.mark.parametrize("case", range(12))
def test_equals_the_released_code_on_ties(case, pick):
  train, heldout = pools.tied(case)
  budget = int(np.random.default_rng(case).integers(1, len(train) + 1))
  order = _tmt(pools.make(train, heldout), budget, pick)
  score = (train @ heldout.T) * (1 if pick == "farthest" else -1)
  *full_rounds, last = _turns(score, budget)
  expected = [(row, n) for n, turn in enumerate(full_rounds, 1) for row in turn]
  # The last round is cut: best of what its pickers see, then lowest row.
  used = [row for row, _ in expected]
  free = np.setdiff1d(np.arange(len(train)), used)
  picker = {
      row: min(
          score[row, j]
          for j in range(len(heldout))
          if free[score[free, j].argmin()] == row
      )
      for row in last
  }
  last_rows = sorted(last, key=lambda row: (picker[row], row))[
      : budget - len(used)
  ]
  expected += [(row, len(full_rounds) + 1) for row in sorted(last_rows)]
  assert list(zip(order.rows, order.rounds, strict=True)) == expected
  ends = order.distances[-len(last_rows) :]
  sign = 1 if pick == "nearest" else -1
  assert ends.tolist() == [1 + sign * picker[row] for row in sorted(last_rows)]


def _turns(score, budget):
  """Rounds of the released selection, by how the order grows."""
  turns, order = [], []
  while len(order) < budget:
    grown = released_code.select_min(score, len(order) + 1)
    turns.append(grown[len(order) :])
    order = grown
  return turns


def test_rounds_are_a_slice_that_counts_from_zero():
  rng = np.random.default_rng(0)
  similarity = rng.random((60, 4))
  every_round = _arrange(similarity, -1)
  assert len(every_round) == 60
  part = _arrange(similarity, -1, rounds=(2, 5))
  inside = (every_round.rounds > 2) & (every_round.rounds <= 5)
  assert part.rows.tolist() == every_round.rows[inside].tolist()
  assert part.rounds.tolist() == every_round.rounds[inside].tolist()
  assert part.notes["rounds"] == 3
  cut = _arrange(similarity, 5, rounds=(2, 5))
  assert len(cut) == 5
  assert set(cut.rows) <= set(part.rows)


def test_in_round_shuffled_keeps_rounds_together():
  rng = np.random.default_rng(0)
  similarity = rng.random((200, 30))
  plain = _arrange(similarity, 100)
  first, second = (
      _arrange(similarity, 100, in_round="shuffled", seed=i) for i in (1, 2)
  )
  assert first.rounds.tolist() == plain.rounds.tolist()
  assert first.rows.tolist() != plain.rows.tolist()
  assert first.rows.tolist() != second.rows.tolist()
  for number in set(plain.rounds.tolist()):
    assert set(first.rows[first.rounds == number]) == set(
        plain.rows[plain.rounds == number]
    )


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(rounds=(5, 2)), "first, beyond"),
        (dict(rounds=(3,)), "first, beyond"),
        (dict(rounds=(0, 9)), "there are 3 rounds"),
        (dict(rounds=(7, 9)), "there are 3 rounds"),
        (dict(rounds=(0, 1), budget=4), "the rounds have 3"),
    ],
)
def test_impossible_options_are_errors(options, message):
  known = dict(budget=-1, pick="nearest") | options
  with pytest.raises(errors.InputError, match=message):
    _arrange(WORKED, **known)


def test_needs_embeddings():
  with pytest.raises(errors.InputError, match="embedder"):
    _tmt(pool_lib.Pool(np.zeros(3, np.int32)), 1, "nearest")
