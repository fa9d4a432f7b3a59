"""The start of a run: where parameters come from, and what contradicts it."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from tests.helpers import configs
import zsgen
from zsgen.core import config, errors
from zsgen.core import mesh as mesh_lib
from zsgen.models import hugging_face, presets
from zsgen.train import starts

SMALL = config.Model(**configs.SIZES, max_positions=512)


def _params(start):
  mesh = mesh_lib.make(config.Mesh(), jax.devices()[:1])
  return start.load(mesh_lib.shardings(start.shapes, mesh))


@pytest.fixture
def directory(tmp_path):
  params = _params(starts.make(SMALL, seed=3))
  hugging_face.save(tmp_path / "model", params, SMALL)
  return tmp_path / "model"


def test_new_parameters_depend_on_the_seed():
  first, second, other_seed = (starts.make(SMALL, seed) for seed in (3, 3, 4))
  jax.tree.map(np.testing.assert_array_equal, _params(first), _params(second))
  kernels = [
      params["blocks"]["0"]["mlp"]
      for params in map(_params, (first, other_seed))
  ]
  assert (kernels[0]["up"]["kernel"] != kernels[1]["up"]["kernel"]).all()
  assert first.fingerprint == "new"
  assert first.description.startswith("new parameters, drawn from the seed 3")


def test_the_embedded_base():
  start = starts.make(config.Model(), seed=0)
  assert start.arch == config.Model(**presets.TINY)
  assert len(start.fingerprint) == 64
  assert _params(start)["embedding"].shape == (264, 128)


def test_a_directory_brings_its_architecture(directory):
  requested = config.Model(init=f"hf:{directory}", dtype="bfloat16")
  start = starts.make(requested, seed=0)
  expected = dict(init=requested.init, dtype="bfloat16")
  assert start.arch == dataclasses.replace(SMALL, **expected)
  new = _params(starts.make(SMALL, seed=3))
  jax.tree.map(np.testing.assert_array_equal, _params(start), new)
  assert str(directory) in start.description


def test_the_vocabulary_is_padded_by_zeros_and_the_padding_undone(
    directory, tmp_path
):
  requested = config.Model(init=f"hf:{directory}", vocab_multiple=128)
  start = starts.make(requested, seed=0)
  params = _params(start)
  assert params["embedding"].shape == (384, 32)
  assert not params["embedding"][264:].any()
  hugging_face.save(tmp_path / "again", params, start.arch)
  name = "model.safetensors"
  assert (tmp_path / "again" / name).read_bytes() == (
      directory / name
  ).read_bytes()


def test_a_contradicting_field_is_an_error(directory):
  requested = config.Model(init=f"hf:{directory}", layers=6)
  message = r"config\.model\.layers is 6, but the Hugging Face .* has 2"
  with pytest.raises(errors.InputError, match=message):
    starts.make(requested, seed=0)
  requested = config.Model(activation="relu")
  with pytest.raises(errors.InputError, match="'tiny' has 'silu'"):
    starts.make(requested, seed=0)


def test_the_bound_of_rotary_positions_may_be_changed(directory):
  requested = config.Model(init=f"hf:{directory}", max_positions=64)
  assert starts.make(requested, seed=0).arch.max_positions == 64


def test_an_unknown_start(directory):
  with pytest.raises(errors.InputError, match=r"'tinny'; it must be 'new'"):
    starts.make(config.Model(init="tinny"), seed=0)
  with pytest.raises(errors.InputError, match="is a directory: say of which"):
    starts.make(config.Model(init=str(directory)), seed=0)
  with pytest.raises(
      errors.InputError, match="is not a directory, and no model"
  ):
    starts.make(config.Model(init=f"hf:{directory}-not"), seed=0)


def test_a_checkpoint_of_a_run(small, workdirs, tmp_path, capsys):
  run = workdirs.run(small, tmp_path).run
  capsys.readouterr()
  metrics = [json.loads(line) for line in (run / "metrics.jsonl").open()]
  final = [
      record["heldout/loss"] for record in metrics if "heldout/loss" in record
  ]
  small.model = config.to_dict(config.Model(init=f"run:{run}"))
  continued = zsgen.run(small, tmp_path, ["train"]).run
  assert continued != run
  first = json.loads((continued / "metrics.jsonl").open().readline())
  assert first["heldout/loss"] == final[-1]
  output = " ".join(capsys.readouterr().err.split())
  assert f"the checkpoint of step 10 of {run}" in output
  with pytest.raises(errors.InputError, match=r"no such checkpoint\. .* 10\."):
    starts.make(config.Model(init=f"run:{run}@3"), seed=0)
  with pytest.raises(errors.InputError, match="number of a step"):
    starts.make(config.Model(init=f"run:{run}@last"), seed=0)
