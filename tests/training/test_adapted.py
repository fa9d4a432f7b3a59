"""Runs that train adapters: what is held, saved, gone on from and exported."""

import dataclasses
import json
import shutil

import jax
from jax import numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

import zsgen
from zsgen import config as config_lib
from zsgen import errors
from zsgen.models import lora as lora_lib
from zsgen.models import model as model_lib
from zsgen.training import batches, optimizer, records
from zsgen.training import start as start_lib
from zsgen.training import step as step_lib

MODEL = config_lib.Model(
    init="new",
    layers=2,
    width=32,
    heads=2,
    kv_heads=1,
    head_width=16,
    mlp_width=48,
)
LORA = config_lib.Lora(rank=2, targets="attention/query|mlp/down")


@pytest.fixture
def adapted(small):
  """`small` with adapters on the embedded base."""
  small.model = config_lib.to_dict(config_lib.Model())
  small.lora.rank = 4
  small.lora.targets = r"attention/.*"
  small.train.learning_rate = 1e-2
  return small


@pytest.fixture(scope="module")
def made(tmp_path_factory):
  """Makes a run of a config, once."""
  done = {}

  def get(config):
    key = config.to_json()
    if key not in done:
      workdir = tmp_path_factory.mktemp("made")
      done[key] = zsgen.run(config, workdir, ["train", "export"]).run
    return done[key]

  return get


def _curve(run):
  lines = map(json.loads, (run / "metrics.jsonl").open())
  return [each["heldout/loss"] for each in lines if "heldout/loss" in each]


def _state(run):
  """Every array of the last checkpoint, by its path."""
  newest = max(int(path.name) for path in (run / "checkpoints").iterdir())
  state = ocp.StandardCheckpointer().restore(
      (run / "checkpoints" / str(newest) / "state").absolute()
  )
  leaves = jax.tree_util.tree_leaves_with_path(state)
  return {
      jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf)
      for path, leaf in leaves
  }


def test_a_step_trains_adapters_alone():
  model = model_lib.Model.from_config(MODEL, LORA)
  adapters, frozen = lora_lib.split(model.init(jax.random.key(0)), LORA)
  frozen = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), frozen)
  row = np.arange(1, 9, dtype=np.int32)[None]
  ones = np.ones_like(row)
  batch = batches.Batch(
      tokens=row,
      positions=row - 1,
      segments=ones,
      mask=ones.astype(np.float32),
      ids=np.array([7], np.int32),
      lengths=np.array([8], np.int32),
  )
  state = step_lib.init_state(adapters)
  sizes = [leaf.size for leaf in jax.tree.leaves(state.moments)]
  assert sum(sizes) == 2 * model_lib.parameter_count(adapters) + 1
  hyper = optimizer.hyper_at(config_lib.Train(), 0, 10)
  new, metrics = step_lib.train_step(
      state, frozen, batch, hyper, model=model, groups=1
  )
  assert jax.tree.structure(new) == jax.tree.structure(state)
  moved = jax.tree.map(lambda a, b: bool((a != b).any()), new, state).params
  block = moved["blocks"]["0"]
  # A has no gradient yet where B is zero.
  assert block["attention"] == {"query": {"lora_a": False, "lora_b": True}}
  assert block["mlp"] == {"down": {"lora_a": False, "lora_b": True}}
  only_b = step_lib.init_state({"b": jnp.zeros(3)})
  assert np.isfinite(metrics.grad_norm) and metrics.grad_norm > 0
  assert only_b.params["b"].dtype == np.float32


def test_a_checkpoint_has_adapters_and_their_moments_alone(adapted, made):
  state = _state(made(adapted))
  params = [path for path in state if path.startswith("params/")]
  assert len(params) == 8
  assert all(path.rpartition("/")[2] in ("lora_a", "lora_b") for path in params)
  moments = [path for path in state if path.startswith("moments/")]
  assert len(moments) == 2 * 8 + 1
  assert all(state[path].any() for path in params)


def test_training_learns_and_says_what_it_trains(adapted, tmp_path, capsys):
  curve = _curve(zsgen.run(adapted, tmp_path, ["train"]).run)
  assert curve[-1] < curve[0] - 0.05
  said = " ".join(capsys.readouterr().err.split())
  assert "which stays; adapters: new, drawn from the seed 0" in said
  assert (
      "lora rank 4 on 16 projections: 16,384 parameters are trained, 1.85% of"
      " the base's 886,912" in said
  )


def test_stopped_and_started_again_is_the_same_bytes(
    adapted, made, tmp_path, monkeypatch
):
  class Stopped(Exception):
    pass

  consumed = records.Records.consumed

  def stop(self, step, ids):
    if step == 7:
      raise Stopped
    consumed(self, step, ids)

  monkeypatch.setattr(records.Records, "consumed", stop)
  with pytest.raises(Stopped):
    zsgen.run(adapted, tmp_path, ["train"])
  monkeypatch.undo()
  run = zsgen.run(adapted, tmp_path, ["train"]).run
  unbroken = made(adapted)
  assert run.name == unbroken.name
  for name in ("metrics.jsonl", "consumed.npy", "evals/heldout/loss.npy"):
    assert (run / name).read_bytes() == (unbroken / name).read_bytes(), name
  found, wanted = _state(run), _state(unbroken)
  assert found.keys() == wanted.keys()
  for path, leaf in wanted.items():
    assert found[path].tobytes() == leaf.tobytes(), path


def test_a_run_is_named_by_its_adapters(adapted, small, tmp_path):
  names = set()
  for fields in ({}, {"rank": 2}, {"alpha": 8.0}, {"base": "bfloat16"}):
    config = config_lib.to_dict(config_lib.check(adapted))
    config["lora"] |= fields
    names.add(
        zsgen.pipeline.Experiment(config_lib.check(config), tmp_path).path.name
    )
  assert len(names) == 4


@pytest.mark.parametrize("base", ["float32", "bfloat16"])
def test_a_run_of_adapters_is_gone_on_from(adapted, made, tmp_path, base):
  adapted.lora.base = base
  run = made(adapted)
  final = _curve(run)[-1]
  adapted.order.budget = 4
  starts = [f"run:{run}", f"hf:{run}/export-float32"]
  full = config_lib.to_dict(config_lib.Lora())
  for init, lora in [(starts[0], adapted.lora), *((x, full) for x in starts)]:
    adapted.model = config_lib.to_dict(config_lib.Model(init=init))
    adapted.lora = lora
    again = zsgen.run(adapted, tmp_path, ["train"]).run
    rel = 1e-3 if lora is not full and base == "bfloat16" else 1e-6
    assert _curve(again)[0] == pytest.approx(final, rel=rel)


def test_exported_adapters_are_gone_on_from(adapted, made, tmp_path, capsys):
  pytest.importorskip("transformers")
  run = shutil.copytree(made(adapted), tmp_path / "run")
  adapted.machine.export = "adapter"
  made_again = zsgen.run(adapted, tmp_path, ["export", "train"]).run
  directory = made_again / "export-adapter-float32"
  assert (directory / "tokenizer_config.json").is_file()
  adapted.lora = config_lib.to_dict(config_lib.Lora(init=str(directory)))
  adapted.order.budget = 4
  again = zsgen.run(adapted, tmp_path, ["train"]).run
  assert _curve(again)[0] == pytest.approx(_curve(run)[-1], rel=1e-6)
  assert f"which stays; adapters: {directory}" in " ".join(
      capsys.readouterr().err.split()
  )
  saved = json.loads((again / "config.json").read_text())["lora"]
  assert saved["rank"] == 4
  assert saved["targets"].count("attention/") == 4


def test_a_base_that_has_changed_is_told(adapted, made, tmp_path):
  run = shutil.copytree(made(adapted), tmp_path / "run")
  manifest = json.loads((run / "manifest.json").read_text())
  manifest["made_by"]["weights"] = "another"
  (run / "manifest.json").write_text(json.dumps(manifest))
  start = start_lib.of(config_lib.Model(init=f"run:{run}"), seed=0)
  mesh = zsgen.mesh.make(config_lib.Mesh(), jax.devices()[:1])
  with pytest.raises(errors.InputError, match="no longer what it was.*'tiny'"):
    start.load_all(mesh)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lora.rank": 0}, r"lora\.targets is .* but config\.lora\.rank is 0"),
        ({"lora.rank": 129}, r"rank is 129, but .* 128 inputs and 128 outputs"),
        ({"lora.targets": "attn"}, r"'attn', which matches no projection"),
        ({"lora.init": "/nowhere"}, r"/nowhere/adapter_config.json is not"),
    ],
)
def test_wrong_adapters_are_told_before_any_work(
    adapted, tmp_path, changes, message
):
  adapted.update_from_flattened_dict(changes)
  with pytest.raises(errors.InputError, match=message):
    zsgen.run(adapted, tmp_path / "workdir")
  assert not (tmp_path / "workdir").exists()


def test_adapters_of_a_run_without_any_are_not_exported(small, tmp_path):
  small.machine.export = "adapter"
  with pytest.raises(errors.InputError, match="but config.lora.rank is 0"):
    zsgen.run(small, tmp_path / "workdir")


def test_new_adapters_are_the_seeds():
  mesh = zsgen.mesh.make(config_lib.Mesh(), jax.devices()[:1])
  one, again, other = (
      start_lib.of(MODEL, seed, LORA).load_all(mesh) for seed in (3, 3, 4)
  )
  jax.tree.map(np.testing.assert_array_equal, one, again)
  a = [each["blocks"]["0"]["mlp"]["down"]["lora_a"] for each in (one, other)]
  assert (a[0] != a[1]).all()
  base, _ = (start_lib.of(MODEL, 3).load_all(mesh), None)
  frozen = lora_lib.split(one, LORA)[1]
  jax.tree.map(np.testing.assert_array_equal, frozen, base)
  lora = dataclasses.replace(LORA, base="bfloat16")
  held = start_lib.of(MODEL, 3, lora).load_all(mesh)
  dtypes = {
      str(x.dtype) for x in jax.tree.leaves(lora_lib.split(held, lora)[1])
  }
  assert dtypes == {"bfloat16"}
