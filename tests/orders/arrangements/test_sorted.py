"""Similarity: one set, sorted; by instance and by task."""

import numpy as np
import pools

from zsgen.orders.arrangements import multiset, random, similarity


def _arrange(pool, seed=0, **options):
  return similarity.similarity(pool, similarity.Options(**options), seed)


def _random_pool(size=40, tasks=5):
  rng = np.random.default_rng(1)
  vectors = rng.random((size, 4)).astype(np.float32)
  return pools.make(vectors, tasks=np.sort(rng.integers(0, tasks, size)))


def test_worked_example():
  actual = _arrange(pools.make(pools.WORKED))
  assert actual.rows.tolist() == [2, 1, 0, 3, 5, 4]
  np.testing.assert_allclose(actual.distances[0], -1.8162, atol=1e-4)
  assert "wsd_weight" in actual.notes


def test_nearest_farthest_and_random_are_the_same_set():
  pool = _random_pool()
  nearest, farthest, sampled = (
      _arrange(pool, budget=17, pick=pick)
      for pick in ("nearest", "farthest", "random")
  )
  expected = random.random(pool, multiset.Options(budget=17), seed=0)
  assert sampled.rows.tolist() == expected.rows.tolist()
  assert sorted(nearest.rows) == sorted(farthest.rows) == sorted(sampled.rows)
  assert nearest.rows.tolist() == farthest.rows.tolist()[::-1]
  assert (np.diff(nearest.distances) >= 0).all()


def test_ties_go_to_the_lowest_row_unless_as_released():
  pool = pools.make(np.ones((4, 2)))
  nearest, farthest = (
      _arrange(pool, measure="cosine_min", pick=pick)
      for pick in ("nearest", "farthest")
  )
  assert nearest.rows.tolist() == farthest.rows.tolist() == [0, 1, 2, 3]
  farthest = _arrange(
      pool, measure="cosine_min", pick="farthest", as_released=True
  )
  assert farthest.rows.tolist() == [3, 2, 1, 0]


def test_as_released_random_is_pandas_sample():
  actual = _arrange(_random_pool(), pick="random", as_released=True, seed=3)
  nearest = _arrange(_random_pool())
  permutation = np.random.RandomState(3).permutation(40)
  assert actual.rows.tolist() == nearest.rows[permutation].tolist()


def test_by_task_sorts_mean_vectors_and_keeps_tasks_together():
  pool = _random_pool()
  actual = _arrange(pool, granularity="task", measure="cosine_avg")
  vectors = pool.train.block(0, 40)
  means = np.stack([vectors[pool.tasks == t].mean(axis=0) for t in range(5)])
  means /= np.linalg.norm(means, axis=1, keepdims=True)
  order = np.argsort(-means.sum(axis=1))
  assert list(dict.fromkeys(pool.tasks[actual.rows].tolist())) == order.tolist()
  for task in range(5):
    rows = actual.rows[pool.tasks[actual.rows] == task]
    assert (np.diff(rows) > 0).all()
  assert (np.diff(actual.distances) >= 0).all()
