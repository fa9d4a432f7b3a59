"""TMT against the worked example and a restatement of the released code."""

import numpy as np
import pytest
import scipy.sparse

from zsgen import errors
from zsgen.orders import embeddings
from zsgen.orders.arrangements import tmt

# Spec 2.8b: 6 training points, 3 held-out points.
WORKED = np.array(
    [
        [0.9, 0.2, 0.1],
        [0.8, 0.7, 0.3],
        [0.9, 0.6, 0.2],
        [0.1, 0.7, 0.65],
        [0.3, 0.1, 0.6],
        [0.2, 0.4, 0.6],
    ],
    np.float32,
)


def _embedded(vectors: np.ndarray) -> embeddings.Embeddings:
  return embeddings.Embeddings(
      scipy.sparse.csr_array(np.asarray(vectors, np.float32))
  )


def _arrange(similarity, budget, pick="nearest", sequence="rounds", seed=0):
  """Arranges by a similarity [N, M]: held-out points are unit vectors."""
  similarity = np.asarray(similarity, np.float32)
  return tmt.arrange(
      np.zeros(len(similarity), np.int32),
      _embedded(similarity),
      _embedded(np.eye(similarity.shape[1])),
      budget=budget,
      pick=pick,
      sequence=sequence,
      seed=seed,
  )


def _select(distance, size):
  """Whole rounds of `tmt.rounds` until there are `size` rows."""
  chosen = []
  for rows, _ in tmt.rounds(np.ascontiguousarray(distance.T)):
    if len(chosen) >= size:
      break
    chosen += rows.tolist()
  return chosen


def _released(distance, size, far):
  """The released code's selection, by rounds (spec 2.7, plainly)."""
  distance = distance.copy()
  fill = distance.min() - 1 if far else distance.max() + 1
  turns, taken = [], 0
  while taken < min(size, len(distance)):
    best = distance.argmax(axis=0) if far else distance.argmin(axis=0)
    rows = sorted(set(best.tolist()))
    turns.append(rows)
    taken += len(rows)
    distance[rows] = fill
  return turns


def _join(first, second):
  return list(dict.fromkeys(first + second[::-1]))


def test_worked_example_by_whole_rounds():
  near, far = -WORKED, WORKED
  assert _select(near, 2) == [0, 1, 3]
  assert _select(near, 4) == [0, 1, 3, 2, 4]
  assert _select(near, 6) == [0, 1, 3, 2, 4, 5]
  assert _select(far, 2) == [0, 3, 4]
  nearest, farthest = _select(near, 2), _select(far, 2)
  assert _join(nearest, farthest) == [0, 1, 3, 4]
  assert _join(farthest, nearest) == [0, 3, 4, 1]


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
  one, two = (
      _arrange(similarity, 30, sequence="shuffled", seed=i) for i in (1, 2)
  )
  assert one.rows.tolist() != two.rows.tolist()
  assert sorted(one.rows) == sorted(two.rows) == sorted(plain.rows)
  rounds = dict(zip(plain.rows, plain.rounds, strict=True))
  assert [rounds[row] for row in one.rows] == one.rounds.tolist()


@pytest.mark.parametrize("pick", ["nearest", "farthest"])
@pytest.mark.parametrize("case", range(12))
def test_equals_the_released_code_on_ties(case, pick):
  rng = np.random.default_rng(case)
  size, heldout, width = rng.integers((1, 1, 1), (300, 20, 6))
  train = rng.integers(-2, 3, (size, width)).astype(np.float32)
  looked_at = rng.integers(-2, 3, (heldout, width)).astype(np.float32)
  budget = int(rng.integers(1, size + 1))
  order = tmt.arrange(
      np.zeros(size, np.int32),
      _embedded(train),
      _embedded(looked_at),
      budget=budget,
      pick=pick,
      sequence="rounds",
      seed=0,
  )
  far = pick == "farthest"
  similarity = train @ looked_at.T
  *whole, last = _released(-similarity, budget, far)
  expected = [(row, n) for n, turn in enumerate(whole, 1) for row in turn]
  # The last round is cut: best of what its pickers see, then lowest row.
  used = [row for row, _ in expected]
  free = np.setdiff1d(np.arange(size), used)
  score = -similarity if not far else similarity
  picker = {
      row: min(
          score[row, j]
          for j in range(heldout)
          if free[score[free, j].argmin()] == row
      )
      for row in last
  }
  kept = sorted(last, key=lambda row: (picker[row], row))[: budget - len(used)]
  expected += [(row, len(whole) + 1) for row in sorted(kept)]
  assert list(zip(order.rows, order.rounds, strict=True)) == expected
  ends = order.distances[-len(kept) :]
  sign = 1 if far else -1
  assert ends.tolist() == [1 - sign * picker[row] for row in sorted(kept)]


def test_needs_embeddings():
  with pytest.raises(errors.InputError, match="embedder"):
    tmt.arrange(
        np.zeros(3, np.int32),
        None,
        None,
        budget=1,
        pick="nearest",
        sequence="rounds",
        seed=0,
    )
