"""Runs as members of a population are what they are alone."""

import dataclasses
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import rich.console

from tests.helpers import closeness, xla
from zsgen import pipeline, verify
from zsgen.core import config as config_lib
from zsgen.core import errors
from zsgen.train import checkpoints, records

pytestmark = pytest.mark.numerics

PEOPLED = pathlib.Path(__file__).with_name("peopled.py")
STEPS = 15
# Members differ in seed, order, and what the optimizer is given.
MEMBERS = {
    "one": {"seed": 1, "train": {"b2": 0.99}},
    "two": {
        "seed": 2,
        "order": {"pick": "farthest"},
        "train": {"learning_rate": 1e-3},
    },
}


@pytest.fixture
def members(small):
  """Configs of members; saved before steps 5 and 10."""
  return _members(small, MEMBERS)


@pytest.fixture
def more(small):
  """Configs of three members, trained for longer."""
  small.evals.heldout.every_steps = 25
  small.machine.save_every = 20
  third = {"order": {"pick": "farthest"}, "train": {"b2": 0.98}}
  return _members(small, {**MEMBERS, "three": third}, steps=50)


def _members(small, options_of, steps=STEPS):
  small.order.budget = steps * small.train.batch_size
  small.train.warmup_steps = 5
  found = []
  for name, options in options_of.items():
    each = small.copy_and_resolve_references()
    each.name = name
    each.update(options)
    found.append(config_lib.check(each))
  return found


@pytest.fixture
def quiet():
  return rich.console.Console(quiet=True)


def _lines(path):
  return [json.loads(line) for line in path.open()]


def _assert_equal(run, alone):
  assert run.name == alone.name
  np.testing.assert_array_equal(
      np.load(run / "consumed.npy"), np.load(alone / "consumed.npy")
  )
  found, wanted = _lines(run / "metrics.jsonl"), _lines(alone / "metrics.jsonl")
  assert len(found) == len(wanted) > len(np.load(run / "consumed.npy"))
  for each, other in zip(found, wanted, strict=True):
    assert each == pytest.approx(other, rel=1e-4)
  losses = [np.load(path / "evals/heldout/loss.npy") for path in (run, alone)]
  closeness.assert_close(*losses, tolerance=1e-4)


def _on_two_devices(members, workdir):
  workdir.mkdir()
  path = workdir / "configs.json"
  path.write_text(json.dumps([config_lib.to_dict(each) for each in members]))
  done = subprocess.run(
      [sys.executable, PEOPLED, path, workdir],
      env=xla.environment(xla.devices(2)),
      capture_output=True,
      text=True,
      check=False,
  )
  assert done.returncode == 0, done.stderr
  found = {
      path.name.rpartition("-")[0]: path
      for path in (workdir / "runs").iterdir()
  }
  return [found[each.name] for each in members]


def _alone(members, workdir, quiet):
  return [pipeline.run(each, workdir, ["train"], quiet).run for each in members]


def test_members_are_what_they_are_alone(members, tmp_path, quiet):
  runs = pipeline.run_population(members, tmp_path, quiet)
  for run, other in zip(
      runs, _alone(members, tmp_path / "alone", quiet), strict=True
  ):
    _assert_equal(run, other)
    with checkpoints.Finished(run) as there:
      assert there.steps() == [STEPS]
  # Again: nothing is trained.
  before = (runs[0] / "metrics.jsonl").stat().st_mtime_ns
  assert pipeline.run_population(members, tmp_path, quiet) == runs
  assert (runs[0] / "metrics.jsonl").stat().st_mtime_ns == before


@pytest.mark.slow
def test_more_members_on_two_devices(more, tmp_path, quiet):
  alone = _alone(more, tmp_path / "alone", quiet)
  runs = pipeline.run_population(more, tmp_path / "one", quiet)
  for run, other in zip(runs, alone, strict=True):
    _assert_equal(run, other)
  split = _on_two_devices(more[:2], tmp_path / "two")
  for run, other in zip(split, alone[:2], strict=True):
    _assert_equal(run, other)


def _check_verification(workdir):
  """`verify` checks checkpoints of a population and what its members wrote."""
  lines = " ".join(verify.verify(workdir / "populations"))
  assert "checkpoint of step 10: verified" in lines
  consumed = next(workdir.glob("runs/two-*/consumed.npy"))
  whole = consumed.read_bytes()
  consumed.write_bytes(whole[:200] + bytes([whole[200] ^ 1]) + whole[201:])
  with pytest.raises(errors.InputError, match=f"{consumed}: "):
    verify.verify(workdir / "populations")
  consumed.write_bytes(whole)


def test_a_stopped_population_goes_on_with_the_same_bytes(
    members, tmp_path, quiet, monkeypatch
):
  class Stopped(Exception):
    """Stands for a kill."""

  consumed = records.Records.consumed

  def stop(self, step, ids):
    if step == 11 and "two" in self._path.name:
      raise Stopped
    consumed(self, step, ids)

  # Steps 2 and 3 are traced.
  members = [dataclasses.replace(each, profile=(2, 4)) for each in members]
  runs = pipeline.run_population(members, tmp_path / "whole", quiet)
  assert list((tmp_path / "whole" / "populations").rglob("*.xplane.pb"))
  with monkeypatch.context() as patched:
    patched.setattr(records.Records, "consumed", stop)
    with pytest.raises(Stopped):
      pipeline.run_population(members, tmp_path / "stopped", quiet)
  _check_verification(tmp_path / "stopped")
  again = pipeline.run_population(members, tmp_path / "stopped", quiet)
  for run, other in zip(again, runs, strict=True):
    for name in ("metrics.jsonl", "consumed.npy", "evals/heldout/loss.npy"):
      assert (run / name).read_bytes() == (other / name).read_bytes()


def test_members_of_other_shapes_are_told(small, tmp_path, quiet):
  other = small.copy_and_resolve_references()
  other.name, other.model.width = "wide", 2 * small.model.width
  configs = [config_lib.check(each) for each in (small, other)]
  message = r"config.population: config.model is .* in wide and .*one shape"
  with pytest.raises(errors.InputError, match=message):
    pipeline.run_population(configs, tmp_path, quiet)


def test_members_of_other_lengths_are_told(small, tmp_path, quiet):
  other = small.copy_and_resolve_references()
  other.name, other.order.budget = "short", small.order.budget // 2
  configs = [config_lib.check(each) for each in (small, other)]
  with pytest.raises(
      errors.InputError, match=r"population: steps is \d+ in sh"
  ):
    pipeline.run_population(configs, tmp_path, quiet)
