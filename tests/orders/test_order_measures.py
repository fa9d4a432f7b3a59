"""Measures of a row's distance to the held-out set, restated plainly."""

import numpy as np
import pools
import pytest

from zsgen.core import errors
from zsgen.orders import embeddings, grid, measures, similarity
from zsgen.orders import pool as pool_lib

KINDS = ("avg", "min", "max", "centroid")


def _unit(rng, size, width):
  vectors = rng.standard_normal((size, width)) + 0.5
  vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
  return vectors.astype(np.float32)


def _expected(name, train, heldout):
  """By the definition, in float64, on the grid."""
  x, y = (grid.snap(vectors).astype(np.float64) for vectors in (train, heldout))
  space, kind = name.split("_")
  if kind == "centroid":
    y = y.mean(axis=0, keepdims=True)
  if space == "euclid":
    pairs = np.linalg.norm(x[:, None] - y, axis=-1)
  elif kind == "centroid":
    pairs = -(x @ y.T) / np.linalg.norm(x, axis=1)[:, None] / np.linalg.norm(y)
  else:
    pairs = -(x @ y.T)
  reduce = {"avg": "mean", "centroid": "mean"}.get(kind, kind)
  return getattr(pairs, reduce)(axis=1)


@pytest.fixture
def pool(monkeypatch):
  monkeypatch.setattr(similarity, "block_size", lambda examples, dim: 32)
  rng = np.random.default_rng(0)
  return pool_lib.Pool(
      np.zeros(75, np.int32),
      train=embeddings.Embeddings(_unit(rng, 75, 16)),
      heldout=embeddings.Embeddings(_unit(rng, 9, 16)),
  )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("space", ["cosine", "euclid"])
def test_equals_its_definition(pool, space, kind):
  name = f"{space}_{kind}"
  actual, notes = measures.measure(name, pool)
  expected = _expected(name, pool.train.vectors, pool.heldout.vectors)
  np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-9)
  assert not notes


def test_wsd_of_the_worked_example():
  actual, notes = measures.measure("wsd", pools.make(pools.WORKED))
  expected = [-1.5467, -1.7701, -1.8162, -1.4814, -1.1389, -1.2467]
  np.testing.assert_allclose(actual, expected, atol=1e-4)
  assert notes["wsd_weight"] == pytest.approx(1.6168, abs=1e-4)
  assert np.argsort(actual).tolist() == [2, 1, 0, 3, 5, 4]


@pytest.mark.parametrize("sign", [0, -1])
def test_wsd_without_a_weight_is_an_error(sign):
  with pytest.raises(errors.InputError, match="mean of cosine_avg"):
    measures.measure("wsd", pools.make(sign * pools.WORKED))


def test_blocks_and_their_order_change_no_bit(pool, monkeypatch):
  names = [
      f"{space}_{kind}" for space in ("cosine", "euclid") for kind in KINDS
  ]
  before = [measures.measure(name, pool)[0] for name in (*names, "wsd")]
  monkeypatch.setattr(similarity, "block_size", lambda examples, dim: 7)
  turned = np.arange(75)[::-1]
  after = [
      measures.measure(name, pool.take(turned))[0] for name in (*names, "wsd")
  ]
  for expected, actual in zip(before, after, strict=True):
    assert expected.tobytes() == actual[::-1].tobytes()


def test_no_embeddings_is_an_error():
  with pytest.raises(errors.InputError, match="embedder"):
    measures.measure("wsd", pool_lib.Pool(np.zeros(3, np.int32)))
