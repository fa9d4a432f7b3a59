"""Weights: there and back, and everything that can be wrong with them."""

import dataclasses
import json

import jax
import ml_dtypes
import numpy as np
import pytest
import small

from zsgen import errors
from zsgen.models import model as model_lib
from zsgen.models import weights

ARCH = small.RMS


@pytest.fixture
def saved(tmp_path):
  weights.save(tmp_path / "base", small.loud(ARCH), ARCH)
  return tmp_path / "base"


def _reseal(directory, tensors):
  """Writes other tensors under a SHA-256 that fits them."""
  weights.safetensors.numpy.save_file(tensors, directory / "model.safetensors")
  digest = weights.artifacts.file_digest(directory / "model.safetensors")
  (directory / "SHA256").write_text(digest)


def test_there_and_back_in_bfloat16(saved):
  found = weights.load(saved, ARCH, small.shapes(ARCH))
  jax.tree.map(
      lambda found, wanted: np.testing.assert_array_equal(
          found, wanted.astype(ml_dtypes.bfloat16).astype(np.float32)
      ),
      found,
      small.loud(ARCH),
  )
  assert {p.dtype for p in jax.tree.leaves(found)} == {np.dtype(np.float32)}


def test_there_and_back_in_float32_is_exact(tmp_path):
  params = small.loud(small.LAYER)
  path = tmp_path / "base"
  weights.save(path, params, small.LAYER, "float32", extra={"steps": 3})
  found = weights.load(path, small.LAYER, small.shapes(small.LAYER))
  jax.tree.map(np.testing.assert_array_equal, found, params)
  assert json.loads((path / "config.json").read_text())["extra"] == {"steps": 3}


def test_the_same_weights_are_the_same_bytes(saved, tmp_path):
  weights.save(tmp_path / "again", small.loud(ARCH), ARCH)
  again = tmp_path / "again"
  assert weights.fingerprint(str(again)) == weights.fingerprint(str(saved))


def test_weights_are_never_written_over(saved):
  with pytest.raises(errors.InputError, match="not empty"):
    weights.save(saved, small.loud(ARCH), ARCH)


def test_initial_is_new_or_read(saved):
  key = jax.random.key(1)
  new = weights.initial(ARCH, key)
  jax.tree.map(
      lambda found, wanted: np.testing.assert_allclose(found, wanted, 1e-6),
      new,
      model_lib.Model.from_config(ARCH).init(key),
  )
  arch = dataclasses.replace(ARCH, init=str(saved), dtype="bfloat16")
  read = weights.initial(arch, key)
  jax.tree.map(
      np.testing.assert_array_equal,
      read,
      weights.load(saved, ARCH, small.shapes(ARCH)),
  )
  shapes = jax.eval_shape(lambda: weights.initial(arch, key))
  assert jax.tree.map(np.shape, shapes) == jax.tree.map(np.shape, read)


def test_fingerprint_tells_weights_apart(saved):
  assert weights.fingerprint("new") == "new"
  assert len(weights.fingerprint(str(saved))) == 64


def test_a_directory_that_is_not_there(tmp_path):
  arch = dataclasses.replace(ARCH, init=str(tmp_path / "nowhere"))
  with pytest.raises(
      errors.InputError, match=r"nowhere.* is not there.*'tiny'"
  ):
    weights.initial(arch, jax.random.key(0))
  with pytest.raises(errors.InputError, match="nowhere"):
    weights.fingerprint(arch.init)


def test_damage_is_found(saved):
  path = saved / "model.safetensors"
  path.write_bytes(path.read_bytes()[:-1] + b"!")
  with pytest.raises(errors.InputError, match="is damaged: its SHA-256 is"):
    weights.load(saved, ARCH, small.shapes(ARCH))


def test_what_is_not_safetensors(saved):
  (saved / "model.safetensors").write_bytes(b"weights")
  digest = weights.artifacts.file_digest(saved / "model.safetensors")
  (saved / "SHA256").write_text(digest)
  with pytest.raises(errors.InputError, match="not a safetensors file"):
    weights.load(saved, ARCH, small.shapes(ARCH))


def test_another_architecture_is_named(saved):
  arch = dataclasses.replace(ARCH, activation="relu")
  message = r"config.model.activation is 'relu'.*with 'silu'"
  with pytest.raises(errors.InputError, match=message):
    weights.load(saved, arch, small.shapes(arch))


@pytest.mark.parametrize("text", ["[]", "{}", "{"])
def test_a_damaged_description_is_found(saved, text):
  (saved / "config.json").write_text(text)
  with pytest.raises(errors.InputError, match=r"config.json.*damaged"):
    weights.load(saved, ARCH, small.shapes(ARCH))


def test_every_parameter_that_does_not_fit_is_listed(saved):
  path = saved / "model.safetensors"
  tensors = weights.safetensors.numpy.load_file(path)
  tensors["other"] = tensors.pop("final_norm/scale")
  tensors["embedding"] = np.ascontiguousarray(tensors["embedding"][1:])
  _reseal(saved, tensors)
  with pytest.raises(errors.InputError) as raised:
    weights.load(saved, ARCH, small.shapes(ARCH))
  assert (
      "final_norm/scale is missing; other is left over; embedding is (23, "
      "16), not (24, 16)" in str(raised.value)
  )
