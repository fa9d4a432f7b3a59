"""random, round_robin and cluster: one multiset, three sequences."""

import collections

import numpy as np
import pytest

from tests.helpers import released_code
from zsgen.core import config, errors
from zsgen.orders import arrangements
from zsgen.orders import pool as pool_lib

# Task 1 has two rows only, task 3 none; the rows of a task are apart.
TASKS = np.array([0, 0, 1, 2, 2, 0, 1, 4, 4, 4, 2, 0, 4, 2, 0], np.int32)
NAMES = ("random", "round_robin", "cluster")


def _arrange(name, budget, seed=0, tasks=TASKS):
  order = config.build(config.Order, arrangement=name, budget=budget)
  return arrangements.arrange(order, pool_lib.Pool(tasks), seed)


@pytest.mark.parametrize("budget", range(1, len(TASKS) + 1))
def test_same_multiset_of_exactly_the_budget(budget):
  rows = [sorted(_arrange(name, budget).rows.tolist()) for name in NAMES]
  assert rows[0] == rows[1] == rows[2]
  assert len(set(rows[0])) == budget


def test_shares_are_even_and_the_lowest_get_the_remainder():
  tasks = np.repeat(np.arange(4, dtype=np.int32), 10)
  shares = collections.Counter(tasks[_arrange("random", 18, tasks=tasks).rows])
  assert shares == {0: 5, 1: 5, 2: 4, 3: 4}


def test_a_shortfall_is_passed_on():
  shares = collections.Counter(TASKS[_arrange("random", 12).rows].tolist())
  assert shares == {0: 4, 1: 2, 2: 3, 4: 3}


def test_round_robin_goes_pass_by_pass():
  order = _arrange("round_robin", 10)
  assert TASKS[order.rows].tolist() == [0, 1, 2, 4, 0, 1, 2, 4, 0, 2]
  assert order.rows.tolist() == [0, 2, 3, 7, 1, 6, 4, 8, 5, 10]
  assert order.rounds.tolist() == [1] * 4 + [2] * 4 + [3] * 2
  assert np.isnan(order.distances).all()


def test_cluster_goes_task_by_task_in_seeded_order():
  sequences = set()
  for seed in range(8):
    rows = _arrange("cluster", 12, seed).rows
    tasks = TASKS[rows]
    starts = np.flatnonzero(np.diff(tasks, prepend=-1))
    assert len(starts) == len(set(tasks.tolist()))
    assert all(
        np.diff(rows[tasks == task]).min() > 0 for task in set(tasks.tolist())
    )
    sequences.add(tuple(tasks[starts].tolist()))
  assert len(sequences) > 3


def test_random_follows_the_seed():
  first, second = _arrange("random", 15, 1), _arrange("random", 15, 2)
  assert first.rows.tolist() != second.rows.tolist()
  assert first.rows.tolist() == _arrange("random", 15, 1).rows.tolist()


def test_random_is_the_same_on_every_machine():
  rows = _arrange("random", 15, 0).rows.tolist()
  assert rows == [7, 8, 13, 3, 1, 2, 14, 9, 10, 6, 12, 11, 4, 5, 0]


def test_parameters_are_those_that_the_arrangement_reads():
  def read(name):
    return set(
        arrangements.parameters(config.build(config.Order, arrangement=name))
    )

  assert read("random") == {"budget", "per_task", "as_released"}
  assert read("round_robin") == {"budget", "per_task", "as_released"}
  assert read("tmt") == {"budget", "pick", "sequence", "in_round", "rounds"}


@pytest.mark.parametrize("name", NAMES)
def test_per_task_is_a_cap(name):
  order = config.build(config.Order, arrangement=name, per_task=2)
  rows = arrangements.arrange(order, pool_lib.Pool(TASKS), 0).rows
  assert sorted(rows.tolist()) == [0, 1, 2, 3, 4, 6, 7, 8]
  order = config.build(config.Order, arrangement=name, per_task=2, budget=9)
  with pytest.raises(errors.InputError, match="leaves 8"):
    arrangements.arrange(order, pool_lib.Pool(TASKS), 0)


@pytest.mark.parametrize("cap", [1, 2, 20])
def test_equals_the_released_code(cap):
  """Compares with spec 2.2: key order, first rows, Python's shuffle."""
  by_task = {
      task: np.flatnonzero(TASKS == task).tolist() for task in (0, 1, 2, 4)
  }
  expected = {
      "cluster": released_code.cluster(by_task, cap),
      "random": released_code.random_(by_task, cap, seed=0),
      "round_robin": released_code.round_robin(by_task, cap),
  }
  for name, rows in expected.items():
    order = config.build(
        config.Order, arrangement=name, per_task=cap, as_released=True
    )
    actual = arrangements.arrange(order, pool_lib.Pool(TASKS), 0)
    assert actual.rows.tolist() == rows


def test_unknown_names_and_budgets_beyond_the_pool_are_errors():
  with pytest.raises(errors.InputError, match='mean "cluster"'):
    _arrange("clutser", 3)
  with pytest.raises(errors.InputError, match="is 16, but the pool has 15"):
    _arrange("random", 16)
  with pytest.raises(errors.InputError, match="budget is 0"):
    config.build(config.Order, arrangement="random", budget=0)
