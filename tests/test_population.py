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

TRAIN_POPULATION = (
    pathlib.Path(__file__).parent / "helpers" / "train_population.py"
)
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
  """Returns configs of members; saved before steps 5 and 10."""
  return _members(small, MEMBERS)


@pytest.fixture
def long_members(small):
  """Returns configs of three members, trained for longer."""
  small.evals.heldout.every_steps = 25
  small.machine.save_every = 20
  third = {"order": {"pick": "farthest"}, "train": {"b2": 0.98}}
  return _members(small, {**MEMBERS, "three": third}, steps=50)


def _members(small, options_of, steps=STEPS):
  small.order.budget = steps * small.train.batch_size
  small.train.warmup_steps = 5
  configs = []
  for name, options in options_of.items():
    config = small.copy_and_resolve_references()
    config.name = name
    config.update(options)
    configs.append(config_lib.check(config))
  return configs


@pytest.fixture
def quiet():
  return rich.console.Console(quiet=True)


def _lines(path):
  return [json.loads(line) for line in path.open()]


def _assert_equal(run, reference):
  assert run.name == reference.name
  np.testing.assert_array_equal(
      np.load(run / "consumed.npy"), np.load(reference / "consumed.npy")
  )
  actual, expected = _lines(run / "metrics.jsonl"), _lines(
      reference / "metrics.jsonl"
  )
  assert len(actual) == len(expected) > len(np.load(run / "consumed.npy"))
  for record, expected_record in zip(actual, expected, strict=True):
    assert record == pytest.approx(expected_record, rel=1e-4)
  losses = [
      np.load(path / "evals/heldout/loss.npy") for path in (run, reference)
  ]
  closeness.assert_close(*losses, tolerance=1e-4)


def _on_two_devices(members, workdir):
  workdir.mkdir()
  path = workdir / "configs.json"
  path.write_text(
      json.dumps([config_lib.to_dict(member) for member in members])
  )
  completed = subprocess.run(
      [sys.executable, TRAIN_POPULATION, path, workdir],
      env=xla.environment(xla.devices(2)),
      capture_output=True,
      text=True,
      check=False,
  )
  assert completed.returncode == 0, completed.stderr
  paths = {
      path.name.rpartition("-")[0]: path
      for path in (workdir / "runs").iterdir()
  }
  return [paths[member.name] for member in members]


def _train_separately(members, workdir, quiet):
  return [
      pipeline.run(member, workdir, ["train"], quiet).run for member in members
  ]


@pytest.mark.slow
def test_members_equal_separate_runs(small, tmp_path, quiet):
  small.machine.keep_steps = (7,)  # Each member has its own checkpoint of it.
  members = _members(small, MEMBERS)
  runs = pipeline.run_population(members, tmp_path, quiet)
  for run, single_run in zip(
      runs, _train_separately(members, tmp_path / "alone", quiet), strict=True
  ):
    _assert_equal(run, single_run)
    with checkpoints.Finished(run) as finished:
      assert finished.steps() == [7, STEPS]
      assert all(map(finished.check, finished.steps()))
  # Again: nothing is trained.
  before = (runs[0] / "metrics.jsonl").stat().st_mtime_ns
  assert pipeline.run_population(members, tmp_path, quiet) == runs
  assert (runs[0] / "metrics.jsonl").stat().st_mtime_ns == before


@pytest.mark.slow
def test_more_members_on_two_devices(long_members, tmp_path, quiet):
  single_runs = _train_separately(long_members, tmp_path / "alone", quiet)
  runs = pipeline.run_population(long_members, tmp_path / "one", quiet)
  for run, single_run in zip(runs, single_runs, strict=True):
    _assert_equal(run, single_run)
  split = _on_two_devices(long_members[:2], tmp_path / "two")
  for run, single_run in zip(split, single_runs[:2], strict=True):
    _assert_equal(run, single_run)


def _check_verification(workdir):
  """`verify` checks checkpoints of a population and what its members wrote."""
  lines = " ".join(verify.verify(workdir / "populations"))
  assert "checkpoint of step 10: verified" in lines
  consumed = next(workdir.glob("runs/two-*/consumed.npy"))
  original = consumed.read_bytes()
  consumed.write_bytes(
      original[:200] + bytes([original[200] ^ 1]) + original[201:]
  )
  with pytest.raises(errors.InputError, match=f"{consumed}: "):
    verify.verify(workdir / "populations")
  consumed.write_bytes(original)


@pytest.mark.slow
def test_a_resumed_population_has_the_same_bytes(
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
  members = [dataclasses.replace(member, profile=(2, 4)) for member in members]
  runs = pipeline.run_population(members, tmp_path / "whole", quiet)
  assert list((tmp_path / "whole" / "populations").rglob("*.xplane.pb"))
  with monkeypatch.context() as patched:
    patched.setattr(records.Records, "consumed", stop)
    with pytest.raises(Stopped):
      pipeline.run_population(members, tmp_path / "stopped", quiet)
  _check_verification(tmp_path / "stopped")
  resumed = pipeline.run_population(members, tmp_path / "stopped", quiet)
  for run, unbroken in zip(resumed, runs, strict=True):
    for name in ("metrics.jsonl", "consumed.npy", "evals/heldout/loss.npy"):
      assert (run / name).read_bytes() == (unbroken / name).read_bytes()


def test_members_of_different_shapes_are_refused(small, tmp_path, quiet):
  wide = small.copy_and_resolve_references()
  wide.name, wide.model.width = "wide", 2 * small.model.width
  configs = [config_lib.check(member) for member in (small, wide)]
  message = r"config.population: config.model is .* in wide and .*one shape"
  with pytest.raises(errors.InputError, match=message):
    pipeline.run_population(configs, tmp_path, quiet)


def test_members_of_different_lengths_are_refused(small, tmp_path, quiet):
  short = small.copy_and_resolve_references()
  short.name, short.order.budget = "short", small.order.budget // 2
  configs = [config_lib.check(member) for member in (small, short)]
  with pytest.raises(
      errors.InputError, match=r"population: steps is \d+ in sh"
  ):
    pipeline.run_population(configs, tmp_path, quiet)
