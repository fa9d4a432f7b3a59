"""Runs that train adapters: what is held, saved, gone on from and exported."""

import functools
import json

import jax
from jax import numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from tests.helpers import configs, shared
import zsgen
from zsgen.core import config as config_lib
from zsgen.core import errors
from zsgen.core import mesh as mesh_lib
from zsgen.models import lora as lora_lib
from zsgen.models import model as model_lib
from zsgen.pipeline.experiment import Experiment
from zsgen.train import batches, optimizer, records, starts
from zsgen.train import step as step_lib

MODEL = config_lib.Model(**configs.SIZES)
LORA = config_lib.Lora(rank=2, targets="attention/query|mlp/down")


@pytest.fixture
def adapted(small):
  """Returns `small` with adapters, of a base that is held in bfloat16."""
  small.lora.rank = 4
  small.lora.base = "bfloat16"
  small.lora.targets = r"attention/.*"
  small.train.learning_rate = 1e-2
  return small


@pytest.fixture
def adapted_run(adapted, shared_root):
  """Returns the run of `adapted`, trained once, with both exports."""
  adapter_only = adapted.copy_and_resolve_references()
  adapter_only.machine.export = "adapter"

  def make(workdir):
    for config in (adapted, adapter_only):
      zsgen.run(config, workdir, ["train", "export"])

  workdir = shared.make_once(shared_root / "adapted", make)
  (run,) = (workdir / "runs").iterdir()
  return run


def _all_params(model, lora=config_lib.NO_LORA, seed=0):
  """All parameters that a run begins with."""
  mesh = mesh_lib.make(config_lib.Mesh(), jax.devices()[:1])
  return starts.make(model, seed, lora).load_all(mesh)


def _curve(run):
  lines = map(json.loads, (run / "metrics.jsonl").open())
  return [
      record["heldout/loss"] for record in lines if "heldout/loss" in record
  ]


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


def test_a_step_trains_adapters_only():
  model = model_lib.Model.from_config(MODEL, LORA)
  params = jax.jit(model.init)(jax.random.key(0))
  adapters, frozen = lora_lib.split(params, LORA)
  frozen = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), frozen)
  row = np.arange(1, 9, dtype=np.int32)[None]
  ones_row = np.ones_like(row)
  batch = batches.Batch(
      tokens=row,
      positions=row - 1,
      segments=ones_row,
      mask=ones_row.astype(np.float32),
      loss_positions=row[:, :-1],
      ids=np.array([7], np.int32),
      lengths=np.array([8], np.int32),
  )
  state = step_lib.init_state(adapters, "float32")
  sizes = [leaf.size for leaf in jax.tree.leaves(state.moments)]
  assert sum(sizes) == 2 * model_lib.parameter_count(adapters) + 1
  hyper = optimizer.hyper_at(config_lib.Train(), 0, 10)
  step = functools.partial(
      step_lib.train_step,
      model=model,
      groups=1,
      parts=1,
      first_moment="float32",
  )
  new, metrics = jax.jit(step)(state, frozen, batch, hyper)
  assert jax.tree.structure(new) == jax.tree.structure(state)
  moved = jax.tree.map(lambda a, b: bool((a != b).any()), new, state).params
  block = moved["blocks"]["0"]
  # A has no gradient yet where B is zero.
  assert block["attention"] == {"query": {"lora_a": False, "lora_b": True}}
  assert block["mlp"] == {"down": {"lora_a": False, "lora_b": True}}
  assert metrics.grad_norm > 0


def test_a_checkpoint_has_adapters_and_their_moments_only(adapted, adapted_run):
  state = _state(adapted_run)
  params = [path for path in state if path.startswith("params/")]
  assert len(params) == 8
  assert all(path.rpartition("/")[2] in ("lora_a", "lora_b") for path in params)
  moments = [path for path in state if path.startswith("moments/")]
  assert len(moments) == 2 * 8 + 1
  assert all(state[path].any() for path in params)


@pytest.mark.slow
def test_a_resumed_run_has_the_same_bytes(
    adapted, adapted_run, tmp_path, monkeypatch, capsys
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
  first, second = " ".join(capsys.readouterr().err.split()).split("start ")[1:]
  assert "seed 0 (config.model.init='new'), which stays; adapters: new" in first
  line = "lora rank 4 on 8 projections: 1,792 parameters are trained, 7.48% of"
  assert line in first and line in second
  curve = _curve(run)
  assert curve[-1] < curve[0] - 0.05
  assert run.name == adapted_run.name
  for name in ("metrics.jsonl", "consumed.npy", "evals/heldout/loss.npy"):
    assert (run / name).read_bytes() == (adapted_run / name).read_bytes(), name
  actual, expected = _state(run), _state(adapted_run)
  assert actual.keys() == expected.keys()
  for path, leaf in expected.items():
    assert actual[path].tobytes() == leaf.tobytes(), path


def test_a_run_is_named_by_its_adapters(adapted, small, tmp_path):
  names = set()
  for fields in ({}, {"rank": 2}, {"alpha": 8.0}, {"base": "float32"}):
    config = config_lib.to_dict(config_lib.check(adapted))
    config["lora"] |= fields
    names.add(Experiment(config_lib.check(config), tmp_path).run.path.name)
  assert len(names) == 4


@pytest.mark.slow
def test_training_continues_from_a_run_of_adapters(
    adapted, adapted_run, tmp_path
):
  run = adapted_run
  merged = _all_params(config_lib.Model(init=f"run:{run}"))
  exported = _all_params(config_lib.Model(init=f"hf:{run}/export-float32"))
  jax.tree.map(np.testing.assert_array_equal, merged, exported)
  base = _all_params(config_lib.check(adapted).model)
  moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), merged, base)
  query = moved["blocks"]["0"]["attention"]["query"]["kernel"]
  assert query > 10 * moved["embedding"] > 0  # That of bfloat16.
  final = _curve(run)[-1]
  adapted.model = config_lib.to_dict(config_lib.Model(init=f"run:{run}"))
  adapted.lora = config_lib.to_dict(config_lib.Lora(rank=1))
  adapted.order.budget = 4
  continued = zsgen.run(adapted, tmp_path, ["train"]).run
  assert _curve(continued)[0] == pytest.approx(final, rel=1e-6)


def test_training_continues_from_exported_adapters(
    adapted, adapted_run, tmp_path
):
  run = adapted_run
  directory = run / "export-adapter-float32"
  assert (directory / "tokenizer_config.json").is_file()
  adapted.lora = config_lib.to_dict(config_lib.Lora(init=str(directory)))
  config = Experiment(config_lib.check(adapted), tmp_path).config
  assert (config.lora.rank, config.lora.alpha) == (4, 16.0)
  adapters, _ = lora_lib.split(
      _all_params(config.model, config.lora), config.lora
  )
  saved = _state(run)
  leaves = jax.tree_util.tree_leaves_with_path(adapters)
  assert len(leaves) == 8
  for path, leaf in leaves:
    name = jax.tree_util.keystr(path, simple=True, separator="/")
    np.testing.assert_array_equal(leaf, saved[f"params/{name}"])


def test_a_changed_base_is_reported(adapted, adapted_run, monkeypatch):
  run = adapted_run
  monkeypatch.setattr(starts.Start, "fingerprint", "another")
  message = r"no longer what it was .* drawn from the seed 0"
  with pytest.raises(errors.InputError, match=message):
    _all_params(config_lib.Model(init=f"run:{run}"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lora.rank": 0}, r"lora\.targets is .* but config\.lora\.rank is 0"),
        ({"lora.rank": 17}, r"rank is 17, but .* 32 inputs and 16 outputs"),
        (
            {"lora.targets": "attn"},
            r"'attn', which fully matches no projection",
        ),
        ({"lora.init": "/nowhere"}, r"/nowhere/adapter_config.json does not"),
    ],
)
def test_wrong_adapters_are_reported_before_any_work(
    adapted, tmp_path, changes, message
):
  adapted.update_from_flattened_dict(changes)
  with pytest.raises(errors.InputError, match=message):
    zsgen.run(adapted, tmp_path / "workdir")
  assert not (tmp_path / "workdir").exists()


def test_adapters_of_a_run_without_any_are_not_exported(small, tmp_path):
  small.machine.export = "adapter"
  with pytest.raises(errors.InputError, match=r"but config\.lora\.rank is 0"):
    zsgen.run(small, tmp_path / "workdir")


@pytest.mark.slow
def test_new_adapters_depend_on_the_seed():
  first, second, other_seed = (
      _all_params(MODEL, LORA, seed) for seed in (3, 3, 4)
  )
  jax.tree.map(np.testing.assert_array_equal, first, second)
  a = [
      params["blocks"]["0"]["mlp"]["down"]["lora_a"]
      for params in (first, other_seed)
  ]
  assert (a[0] != a[1]).all()
  frozen = lora_lib.split(first, LORA)[1]
  jax.tree.map(
      np.testing.assert_array_equal, frozen, _all_params(MODEL, seed=3)
  )
