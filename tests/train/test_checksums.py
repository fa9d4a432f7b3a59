"""Checksums of arrays: what they notice, and that nothing else changes them."""

import pathlib
import subprocess
import sys

import jax
from jax import numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from tests.helpers import xla
from zsgen.train import checksums

SHARDED = pathlib.Path(__file__).with_name("summed.py")
DTYPES = ("float32", "bfloat16", "float16", "int32", "uint32", "int8", "bool")
WIDE = ("float64", "int64")


def _array(dtype: str, shape=(37, 5, 11)) -> np.ndarray:
  rng = np.random.default_rng(7)
  if dtype == "bool":
    return rng.random(shape) < 0.5
  return (rng.normal(0, 20, shape)).astype(jnp.dtype(dtype))


def _sum(array) -> str:
  return checksums.checksums({"a": array})["a"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_change_is_noticed(dtype):
  array = _array(dtype)
  right, rng = _sum(array), np.random.default_rng(0)
  raw = array.view(np.uint8 if dtype == "bool" else f"u{array.itemsize}")
  width = 1 if dtype == "bool" else 8 * array.itemsize
  for _ in range(60):
    changed = raw.copy()
    bit = raw.dtype.type(1 << int(rng.integers(width)))
    changed.flat[rng.integers(raw.size)] ^= bit
    assert _sum(changed.view(array.dtype)) != right
  for _ in range(30):
    first, second = rng.choice(raw.size, 2, replace=False)
    changed = raw.copy()
    changed.flat[[first, second]] = changed.flat[[second, first]]
    if (changed != raw).any():
      assert _sum(changed.view(array.dtype)) != right
  zeroed = raw.copy()
  zeroed.flat[100:200] = 0
  for variant in (zeroed, raw[::-1], raw[:, ::-1], np.roll(raw, 1), 0 * raw):
    assert _sum(np.ascontiguousarray(variant).view(array.dtype)) != right
  assert _sum(array) == right


@pytest.mark.parametrize("dtype", WIDE)
def test_elements_of_64_bits(dtype):
  with jax.enable_x64(True):
    test_any_change_is_noticed(dtype)
    wide = _sum(jnp.asarray(_array(dtype)))
  assert wide.startswith(f"{dtype}[37,5,11] ")
  # As `verify` reads it, where JAX has no such elements.
  assert _sum(_array(dtype)) == wide


def test_equal_values_with_different_bits_differ():
  zeros = np.zeros(3, np.float32)
  assert _sum(zeros) != _sum(-zeros)
  nan = np.array([0x7FC00000, 0x7FC00001], np.uint32).view(np.float32)
  assert _sum(nan[:1]) != _sum(nan[1:])


def test_shape_and_type_count():
  array = _array("float32")
  variants = (array.view(np.int32), array.reshape(37, 55), array[..., None])
  assert len({_sum(array), *map(_sum, variants)}) == 4


def test_blocks_are_summed_as_one(monkeypatch):
  shapes = [(), (0, 3), (1000,), (37, 5, 11), (3, 1, 7, 90), (2, 700)]
  arrays = [_array("bfloat16", shape) for shape in shapes]
  right = [_sum(array) for array in arrays]
  for at_once in (13, 640):
    monkeypatch.setattr(checksums, "_AT_ONCE", at_once)
    checksums._program.cache_clear()
    jax.clear_caches()
    assert [_sum(array) for array in arrays] == right
  checksums._program.cache_clear()


def test_a_checksum_equals_its_definition():
  """Computes it in plain Python: a checkpoint is checked by any version."""
  array = _array("bfloat16", (3, 4)).view(np.uint16)
  first = second = 0
  for i, j in np.ndindex(array.shape):
    flat, weight = 4 * i + j, 0x9E3779B1 * i + 0x85EBCA77 * j
    bits = int(array[i, j]) ^ (flat * 0x9E3779B9 & 0xFFFFFFFF)
    bits = (bits ^ bits >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    bits = (bits ^ bits >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    bits ^= bits >> 16
    first, second = first + bits, second + bits * (2 * weight + 1)
  expected = f"bfloat16[3,4] {first % 2**32:08x}{second % 2**32:08x}"
  assert _sum(array.view(ml_dtypes.bfloat16)) == expected


def test_random_keys_have_a_checksum():
  keys = jax.random.split(jax.random.key(0), 3)
  assert _sum(keys) != _sum(jax.random.split(jax.random.key(1), 3))


def test_paths_that_differ():
  old = checksums.checksums({"a": np.ones(2), "b": [np.ones(3), np.ones(2)]})
  new = checksums.checksums({"a": np.ones(2), "b": (np.ones(3), np.zeros(2))})
  assert sorted(old) == ["a", "b/0", "b/1"]
  assert checksums.differing(new, old) == ["b/1"]
  assert checksums.differing({"a": old["a"]}, old) == ["b/0", "b/1"]


def test_shardings_change_nothing():
  completed = subprocess.run(
      [sys.executable, SHARDED],
      env=xla.environment(xla.devices(8)),
      capture_output=True,
      text=True,
      check=False,
  )
  assert completed.returncode == 0, completed.stderr
