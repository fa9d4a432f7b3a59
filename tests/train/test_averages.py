"""Averages are those of the parameters, and change nothing else."""

import json

import jax
import numpy as np
import pytest
import rich.console

from tests.helpers import restarts
import zsgen
from zsgen import pipeline
from zsgen.core import config as config_lib
from zsgen.core import errors
from zsgen.train import averages, checkpoints
from zsgen.train import step as step_lib

SHARDING = jax.sharding.NamedSharding(
    jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,)),
    jax.sharding.PartitionSpec(),
)


def _averages(members=1, **options):
  train = config_lib.build(config_lib.Train, **options)
  return averages.Averages(train, {"kernel": SHARDING}, members)


def _walk(members=1):
  """Returns parameters of eight steps."""
  shape = (members, 3, 2) if members > 1 else (3, 2)
  return np.random.default_rng(0).normal(size=(8, *shape)).astype(np.float32)


@pytest.mark.parametrize("members", [1, 2])
def test_averages_are_those_of_numpy(members):
  averaged = _averages(members, ema=0.75, mean_of=3, mean_every=2)
  values = _walk(members)
  expected = values[0]
  for step, value in enumerate(values):
    averaged.update(step, {"kernel": jax.device_put(value, SHARDING)})
    expected = 0.75 * expected + 0.25 * value if step else value
    ema = averaged.params("ema", step)["kernel"]
    np.testing.assert_allclose(ema, expected, rtol=1e-5, atol=1e-6)
    snapshots = values[: step + 1 : 2][-3:]
    mean = averaged.params("mean", step)["kernel"]
    np.testing.assert_allclose(mean, snapshots.mean(0), rtol=1e-5, atol=1e-6)


def test_shapes_of_checkpoints_have_the_members_first():
  shape = jax.ShapeDtypeStruct((2, 3), np.float32)
  state = step_lib.State({"kernel": shape}, ())
  plain = _averages()
  assert plain.shapes(state) is state
  assert plain.pack(state) is state
  for members, expected in ((1, (4, 2, 3)), (2, (2, 4, 3))):
    averaged = _averages(members, ema=0.5, mean_of=4)
    held = averaged.shapes(state)
    assert held.averages["mean"]["kernel"].shape == expected
    assert held.averages["ema"]["kernel"].shape == (2, 3)
    assert averaged.bytes_per_device({"kernel": shape}) == 5 * 24


@pytest.fixture
def averaging(small):
  """Returns a config with both averages."""
  config = small.copy_and_resolve_references()
  config.train.update(ema=0.8, mean_of=2, mean_every=3)
  return config


def _lines(run):
  return [json.loads(line) for line in (run / "metrics.jsonl").open()]


def _run_of(workdir):
  (run,) = (workdir / "runs").iterdir()
  return run


@pytest.mark.slow
def test_training_is_the_same_with_averages(small, averaging, workdirs):
  plain = _run_of(workdirs.get(small, "train"))
  run = _run_of(workdirs.get(averaging, "train"))
  lines = [line for line in _lines(run) if not any("@" in k for k in line)]
  assert lines == _lines(plain)
  assert len(lines) < len(_lines(run))
  expected = restarts.records(plain)
  records = restarts.records(run)
  assert {k: records[k] for k in expected if k != "metrics.jsonl"} == {
      k: v for k, v in expected.items() if k != "metrics.jsonl"
  }
  expected, parameters = map(restarts.parameters, (plain, run))
  assert {k: parameters[k] for k in expected} == expected
  assert len(parameters) > len(expected)
  values = {k: v for line in _lines(run) for k, v in line.items() if "@" in k}
  names = {name.partition("/")[0] for name in values}
  assert names == {"heldout@ema", "heldout@mean"}
  first = {k: v for line in _lines(run)[:3] for k, v in line.items()}
  assert first["heldout@ema/loss"] == first["heldout/loss"]
  assert first["heldout@mean/loss"] == first["heldout/loss"]
  result = json.loads((run / "result.json").read_text())
  assert set(result["evals"]) == {"heldout", "heldout@ema", "heldout@mean"}


@pytest.mark.slow
def test_a_killed_run_resumes_its_averages(averaging, workdirs, tmp_path):
  killed = restarts.start(averaging, tmp_path, "step:7")
  assert killed.returncode == -9, killed.stderr
  resumed = restarts.start(averaging, tmp_path)
  assert "from step 5 of 10" in resumed.stderr, resumed.stderr
  unbroken = _run_of(workdirs.get(averaging, "train"))
  run = _run_of(tmp_path)
  assert restarts.records(run) == restarts.records(unbroken)
  assert restarts.parameters(run) == restarts.parameters(unbroken)


@pytest.mark.slow
def test_a_fork_continues_the_averages(small, averaging, workdirs, tmp_path):
  parent = _run_of(workdirs.get(averaging, "train"))
  averaging.update(fork=f"{parent}@5", fork_order="tail")
  run = zsgen.run(averaging, tmp_path).run
  assert restarts.records(run) == restarts.records(parent)
  assert restarts.parameters(run) == restarts.parameters(parent)
  assert "heldout@mean" in (run / "report.html").read_text("utf-8")
  small.fork = f"{parent}@5"
  message = r"config\.train\.ema is None, but 0\.8 in"
  with pytest.raises(errors.InputError, match=message):
    zsgen.run(small, tmp_path, ["train"])


def test_targets_may_be_of_averages(small, tmp_path):
  small.targets.smooth = {"metric": "heldout@ema/loss", "below": 9.0}
  with pytest.raises(errors.InputError, match="which no evaluation reports"):
    zsgen.run(small, tmp_path, ["prepare"])
  small.train.ema = 0.5
  zsgen.run(small, tmp_path, ["prepare"])


def test_a_distance_without_snapshots_is_an_error(small):
  small.train.mean_every = 5
  with pytest.raises(errors.InputError, match="mean_of is 0: no snapshots"):
    config_lib.check(small)


@pytest.mark.slow
@pytest.mark.numerics
def test_members_have_averages(averaging, tmp_path):
  configs = []
  for name, pick in (("a", "nearest"), ("b", "farthest")):
    averaging.update(name=name)
    averaging.order.pick = pick
    configs.append(config_lib.check(averaging.copy_and_resolve_references()))
  quiet = rich.console.Console(quiet=True)
  runs = pipeline.run_population(configs, tmp_path / "together", quiet)
  for config, run in zip(configs, runs, strict=True):
    single = pipeline.run(config, tmp_path / "alone", ["train"], quiet).run
    for line, expected in zip(_lines(run), _lines(single), strict=True):
      assert line == pytest.approx(expected, rel=1e-4)
    with checkpoints.Finished(run) as saved:
      assert saved.check(10)
    shapes = [
        {key: len(value) for key, value in restarts.parameters(path).items()}
        for path in (run, single)
    ]
    assert shapes[0] == shapes[1]
