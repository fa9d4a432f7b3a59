"""Cosines in float64: those of a full matrix, however short the lists are."""

import itertools

import numpy as np
import pools
import pytest

from tests.helpers import released_code
from zsgen.core import config, errors
from zsgen.orders import (
    cosines,
    embeddings,
    grid,
    measures,
    shortlists,
    similarity,
    turns,
)


def _matrix(train, heldout):
  """The cosines of integer vectors, float64 [N, M], as they are defined."""
  train, heldout = train.astype(np.float64), heldout.astype(np.float64)
  squares = (train**2).sum(1)[:, None] * (heldout**2).sum(1)
  return train @ heldout.T / np.sqrt(squares)


def _without_zeros(case):
  return [
      np.hstack([part, np.ones((len(part), 1), np.float32)])
      for part in pools.tied(case)
  ]


@pytest.mark.parametrize("pick", ["nearest", "farthest"])
@pytest.mark.parametrize("case", range(12))
def test_rounds_are_those_of_the_full_matrix(case, pick, monkeypatch):
  """Compares rounds of vectors with many ties, whose norms are not 1."""
  monkeypatch.setattr(turns, "_SHORTEST", 1 + case % 7)
  monkeypatch.setattr(turns, "_DEPTH", 1)
  monkeypatch.setattr(similarity, "block_size", lambda examples, dim: 64)
  train, heldout = _without_zeros(case)
  sides = pools.embedded(train), pools.embedded(heldout)
  (walk,) = turns.rounds(*sides, (pick,), 1, exact=True)
  actual = [picked.rows.tolist() for picked in walk]
  select = (
      released_code.select_min
      if pick == "nearest"
      else released_code.select_max
  )
  expected = select(-_matrix(train, heldout), len(train))
  assert list(itertools.chain(*actual)) == expected


def _dense(seed, size, width=8):
  """Unit vectors, which the grid makes shorter."""
  vectors = np.random.default_rng(seed).normal(size=(size, width))
  unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
  return embeddings.Embeddings(unit.astype(np.float32))


def test_float32_quotients_are_within_the_margin():
  train, heldout = _dense(0, 500), _dense(1, 20)
  norms = np.sqrt(similarity.squares(heldout))[:, None]
  pairs = zip(
      similarity.blocks(cosines.scaled(train), heldout),
      cosines.blocks(train, heldout),
      strict=True,
  )
  for (_, approximate), (_, exact) in pairs:
    difference = np.abs(approximate / norms - exact).max()
    assert 0 < difference < cosines._MARGIN / 4


@pytest.mark.parametrize("size", [1, 2, 8, 500])
def test_lists_precede_all_rows_outside(size):
  train, heldout = _dense(0, 500), _dense(1, 7)
  # Half of the rows are the same.
  train = train.take(np.minimum(np.arange(500), 250))
  scaled = cosines.scaled(train)
  (shortlist,) = shortlists.make(scaled, heldout, ("nearest",), size)
  lists = cosines.rank(shortlist, scaled, heldout)
  keys = -np.concatenate([part for _, part in cosines.blocks(train, heldout)])
  expected = np.argsort(keys, axis=1, kind="stable")
  assert lists.ends.min() >= 1
  for example, end in enumerate(lists.ends):
    rows = lists.rows[example, :end]
    assert rows.tolist() == expected[example, :end].tolist()
    assert (lists.keys[example, :end] == keys[example, rows]).all()


def test_sparse_and_dense_vectors_have_the_same_cosines():
  dense = _dense(2, 300)
  snapped = grid.snap(dense.vectors)
  heldout = _dense(3, 5)
  for dense_block, sparse_block in zip(
      cosines.blocks(dense, heldout),
      cosines.blocks(pools.embedded(snapped), heldout),
      strict=True,
  ):
    assert (dense_block[1] == sparse_block[1]).all()


def test_measures():
  train, heldout = _without_zeros(5)
  pool = pools.make(train, heldout)
  matrix = -_matrix(train, heldout)
  expected = {
      "cosine_avg": matrix.mean(1),
      "cosine_min": matrix.min(1),
      "cosine_max": matrix.max(1),
  }
  for name, values in expected.items():
    actual, notes = measures.measure(name, pool, "exact")
    assert actual == pytest.approx(values, abs=1e-9) and not notes
  actual, notes = measures.measure("wsd", pools.make(pools.WORKED), "exact")
  rows = pools.WORKED / np.linalg.norm(pools.WORKED, axis=1, keepdims=True)
  weight = rows.max(1).mean() / rows.mean(1).mean()
  assert notes["wsd_weight"] == pytest.approx(weight, rel=1e-6)
  assert actual == pytest.approx(-rows.max(1) - weight * rows.mean(1), rel=1e-6)


def test_only_measures_with_cosines_read_it():
  for measure in measures.MEASURES:
    options = dict(arrangement="similarity", measure=measure, cosine="exact")
    if measure in measures.EXACT:
      config.build(config.Order, **options)
    else:
      with pytest.raises(errors.InputError, match="cosine is 'exact'"):
        config.build(config.Order, **options)
