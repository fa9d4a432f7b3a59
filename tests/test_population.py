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
STEPS = 50
# Members differ in seed, order, and what the optimizer is given.
MEMBERS = {
    "one": {"seed": 1},
    "two": {"seed": 2, "train": {"learning_rate": 1e-3}},
    "farthest": {"order": {"pick": "farthest"}, "train": {"b2": 0.99}},
}


@pytest.fixture
def members(small):
  """Configs of three members."""
  small.order.budget = STEPS * small.train.batch_size
  small.train.warmup_steps = 5
  small.evals.heldout.every_steps = 25
  small.machine.save_every = 20
  found = []
  for name, options in MEMBERS.items():
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
  assert len(found) == len(wanted) > STEPS
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


def test_members_are_what_they_are_alone(members, tmp_path, quiet):
  alone = [
      pipeline.run(each, tmp_path / "alone", ["train"], quiet).run
      for each in members
  ]
  runs = pipeline.run_population(members, tmp_path, quiet)
  for run, other in zip(runs, alone, strict=True):
    _assert_equal(run, other)
    with checkpoints.Finished(run) as there:
      assert there.steps() == [STEPS]
  for run, other in zip(
      _on_two_devices(members[:2], tmp_path / "two"), alone, strict=False
  ):
    _assert_equal(run, other)
  # Again: nothing is trained.
  before = (runs[0] / "metrics.jsonl").stat().st_mtime_ns
  assert pipeline.run_population(members, tmp_path, quiet) == runs
  assert (runs[0] / "metrics.jsonl").stat().st_mtime_ns == before


def _shorter(member):
  """Of 15 steps, saved before steps 5 and 10; steps 2 and 3 are traced."""
  order = dataclasses.replace(member.order, budget=15 * 4)
  machine = dataclasses.replace(member.machine, save_every=5)
  return dataclasses.replace(
      member, order=order, machine=machine, profile=(2, 4)
  )


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

  members = [_shorter(each) for each in members[:2]]
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
