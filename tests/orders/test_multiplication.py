"""Products on NumPy and on JAX: the same bits, and JAX only where it is used."""

import subprocess
import sys

import numpy as np
import pytest

from zsgen.core import config
from zsgen.orders import arrangements, embeddings, grid, multiplication
from zsgen.orders import pool as pool_lib

ARRANGEMENTS = [
    {"arrangement": "tmt", "budget": 300},
    {"arrangement": "tmt", "budget": 300, "pick": "farthest"},
    {"arrangement": "released", "budget": 200, "setting": "NFT"},
    {"arrangement": "similarity", "measure": "cosine_min"},
]


@pytest.fixture(name="pool", scope="module")
def _pool():
  """Unit vectors with duplicates, 1,500 in the pool and 40 held out."""
  rng = np.random.default_rng(3)
  vectors = rng.standard_normal((1540, 24)).astype(np.float32)
  vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
  vectors[100:200] = vectors[300:400]
  return pool_lib.Pool(
      np.arange(1500, dtype=np.int32) // 150,
      train=embeddings.Embeddings(vectors[:1500]),
      heldout=embeddings.Embeddings(vectors[1500:]),
  )


@pytest.fixture(name="calls")
def _calls(monkeypatch):
  """Products are computed by JAX, on whatever device there is; counted."""
  compute, calls = multiplication._make_for_accelerator, []

  def make(heldout, size):
    multiply = compute(heldout, size)
    return lambda block: calls.append(len(block)) or multiply(block)

  monkeypatch.setattr(multiplication, "_make_for_accelerator", make)
  monkeypatch.setattr(multiplication, "has_accelerator", lambda: True)
  monkeypatch.setattr(multiplication, "_FEWEST", 0)
  return calls


@pytest.mark.parametrize("fields", ARRANGEMENTS)
def test_an_accelerator_gives_the_same_orders(pool, fields, calls, monkeypatch):
  order = config.build(config.Order, **fields)
  actual = arrangements.arrange(order, pool, 0)
  assert calls
  monkeypatch.undo()
  expected = arrangements.arrange(order, pool, 0)
  np.testing.assert_array_equal(actual.rows, expected.rows)
  np.testing.assert_array_equal(actual.distances, expected.distances)


def test_a_device_that_rounds_is_not_used(monkeypatch):
  rng = np.random.default_rng(0)
  heldout, train = (
      grid.snap(rng.uniform(-0.2, 0.2, (size, 24)).astype(np.float32))
      for size in (5, 64)
  )

  def make(heldout, size):
    del size
    return lambda block: (heldout @ block.T).astype(np.float16)

  monkeypatch.setattr(multiplication, "_make_for_accelerator", make)
  monkeypatch.setattr(multiplication, "has_accelerator", lambda: True)
  monkeypatch.setattr(multiplication, "_FEWEST", 0)
  multiply, _ = multiplication.make(heldout, 64, 16)
  for start in range(0, 64, 16):
    block = train[start : start + 16]
    np.testing.assert_array_equal(multiply(block), heldout @ block.T)


def test_small_problems_stay_on_the_processor(pool, calls, monkeypatch):
  monkeypatch.setattr(multiplication, "_FEWEST", 2**34)
  order = config.build(config.Order, **ARRANGEMENTS[0])
  arrangements.arrange(order, pool, 0)
  assert not calls


def test_an_order_is_arranged_without_jax():
  code = """
import sys
import numpy as np
from zsgen.orders import embeddings, turns
vectors = embeddings.Embeddings(np.eye(9, dtype=np.float32))
(walk,) = turns.rounds(vectors, vectors.take(np.arange(3)), ("nearest",), 9)
print(next(walk).rows.tolist(), "jax" in sys.modules)
"""
  output = subprocess.check_output([sys.executable, "-c", code], text=True)
  assert output.split("\n")[-2] == "[0, 1, 2] False"
