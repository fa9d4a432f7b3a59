"""Matched: random examples with the lengths of another order's."""

import dataclasses

import numpy as np
import pytest

from zsgen.core import config, errors
from zsgen.orders import arrangements
from zsgen.orders import pool as pool_lib


def _pool(lengths):
  size = len(lengths)
  facts = pool_lib.Facts(
      embed=lambda order: (None, None),
      texts=lambda order, rows: ([], []),
      ids=np.arange(size),
      names=("task",),
      keys=lambda: [str(i) for i in range(size)],
      lengths=lambda: np.asarray(lengths, np.int32),
      scores=lambda name: np.zeros(size),
      file_scores=lambda path, column: np.zeros(size),
      text_hashes=lambda rows: [""] * len(rows),
  )
  return pool_lib.Pool(
      np.zeros(size, np.int32), rows=np.arange(size), facts=facts
  )


def _arrange(pool, seed=0, **order):
  checked = config.check({"order": order}).order
  return arrangements.arrange(checked, pool, seed)


RANDOM = dict(arrangement="random", embedder="")


def _part(budget):
  return dict(
      arrangement="matched",
      embedder="",
      parts=(RANDOM | dict(budget=budget),),
  )


@pytest.mark.parametrize("groups", [1, 7, 100, 10_000])
def test_lengths_are_those_of_the_part(groups):
  lengths = np.random.default_rng(1).integers(5, 200, 3000)
  pool = _pool(lengths)
  part = _arrange(pool, **RANDOM, budget=400)
  control = _arrange(pool, **_part(400), groups=groups)
  assert len(set(control.rows.tolist())) == len(control) == 400
  differences = np.abs(lengths[control.rows] - lengths[part.rows])
  assert control.notes["mean_length_difference"] == differences.mean()
  if groups >= 100:  # About two lengths a group: matched by position.
    assert differences.max() <= 4
  if groups == 1:
    assert differences.mean() > 40


def test_the_draw_is_random_and_by_seed():
  pool = _pool([10] * 1000)
  rows = [_arrange(pool, seed, **_part(100)).rows for seed in (0, 0, 1)]
  assert np.array_equal(rows[0], rows[1])
  assert not np.array_equal(rows[0], rows[2])
  # A tenth of the pool was drawn: about a tenth of that again, by chance.
  part = _arrange(pool, **RANDOM, budget=100).rows
  assert 0 < len(np.intersect1d(part, rows[0])) < 30


def test_the_whole_pool_is_a_permutation():
  lengths = np.random.default_rng(2).integers(1, 9, 100)
  control = _arrange(_pool(lengths), **_part(-1))
  assert sorted(control.rows) == list(range(100))
  assert control.notes["same"] == 100


def test_parts_without_example_lengths_are_refused():
  pool = dataclasses.replace(_pool([1, 2, 3]), rows=None)
  with pytest.raises(errors.InputError, match="granularity"):
    _arrange(pool, **_part(2))
  twice = dict(arrangement="repeat", epochs=2, parts=(RANDOM,))
  with pytest.raises(errors.InputError, match="several epochs"):
    _arrange(
        _pool([1, 2, 3]), arrangement="matched", embedder="", parts=(twice,)
    )
