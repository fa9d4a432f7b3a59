"""Losses of a fixed sample of training examples, around each that is used."""

import json

import numpy as np
import pyarrow.compute as pc
import pytest
import rich.console

from tests.helpers import closeness, restarts
import zsgen
from zsgen import pipeline
from zsgen.core import config as config_lib
from zsgen.core import errors
from zsgen.core import mesh as mesh_lib
from zsgen.data import suite
from zsgen.pipeline import experiment
from zsgen.pipeline import probe as probe_lib
from zsgen.reports import curves, example_table, probe_view

EXAMPLES = 3


@pytest.fixture
def probed(small):
  """Returns a config that follows three examples through 10 steps."""
  config = small.copy_and_resolve_references()
  config.order = {"arrangement": "random", "budget": 40}
  config.probe = {"examples": EXAMPLES, "every_steps": 6, "steps": (9,)}
  return config


@pytest.fixture
def plain(probed):
  """Returns the same config without the probe."""
  config = probed.copy_and_resolve_references()
  config.probe = {}
  return config


def _run_of(workdir):
  (run,) = (workdir / "runs").iterdir()
  return run


def _lines(run):
  return [json.loads(line) for line in (run / "metrics.jsonl").open()]


@pytest.mark.slow
def test_the_sample_is_evaluated_around_each_of_its_steps(probed, workdirs):
  run = _run_of(workdirs.get(probed, "train"))
  consumed = np.load(run / "consumed.npy")
  probe = curves.open_run(run).probe()
  assert len(probe.ids) == EXAMPLES and np.isin(probe.ids, consumed).all()
  uses = np.flatnonzero(np.isin(consumed, probe.ids).any(axis=1))
  expected = {0, 6, 9, 10, *uses.tolist(), *(uses + 1).tolist()}
  assert probe.steps.tolist() == sorted(expected)
  table = zsgen.load_run(run).probe
  assert table.column_names == [
      *("step", "id", "task", "loss", "consumed", "text", "answer")
  ]
  for row in table.to_pylist():
    step = int(np.flatnonzero((consumed == row["id"]).any(axis=1))[0])
    assert row["consumed"] == (row["step"] > step)
  losses = zsgen.load_run(run).trajectory.losses
  losses = losses.filter(pc.equal(losses["evaluation"], "probe"))
  names = ["step", "id", "loss"]
  assert losses.select(names).to_pylist() == table.select(names).to_pylist()
  memory = probe_view.measure(curves.open_run(run))
  assert len(memory.memorised) == memory.trained_on == EXAMPLES
  assert memory.memorised.mean() > 0  # A step lowers the loss of its examples.
  values = {k: v for line in _lines(run) for k, v in line.items()}
  assert values["probe/loss"] == pytest.approx(probe.losses[-1].mean())


@pytest.mark.slow
def test_training_is_the_same_with_a_probe(probed, plain, workdirs):
  run = _run_of(workdirs.get(probed, "train"))
  expected = _run_of(workdirs.get(plain, "train"))
  assert run.name != expected.name
  lines = [line for line in _lines(run) if "probe/loss" not in line]
  assert lines == _lines(expected)
  assert restarts.parameters(run) == restarts.parameters(expected)


def test_a_default_probe_changes_no_name(plain):
  assert "probe" not in config_lib.science(config_lib.check(plain))


def test_times_of_use_are_counted_before_each_evaluation():
  consumed = np.array([[5, 2], [7, 5], [9, -1]])
  evaluation = curves.Evaluation(
      np.array([0, 1, 2, 3]), np.array([5, 9]), np.zeros((4, 2))
  )
  counts = example_table.count_consumed(consumed, evaluation)
  assert counts.tolist() == [[0, 0], [1, 0], [2, 0], [2, 1]]
  begun = example_table.count_consumed(consumed[:0], evaluation)
  assert begun.sum() == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"probe": {"examples": 41}}, "but there are 40 training examples"),
        ({"probe": {"steps": (11,)}}, "names step 11, but the run has 10"),
        (
            {"probe": {"examples": 0}},
            "every_steps is 6, but config.probe.examples is 0",
        ),
        ({"evals": {"probe": {}}}, "a run already has metrics named probe/"),
    ],
)
def test_bad_options(probed, tmp_path, options, message):
  probed.update(options)
  with pytest.raises(errors.InputError, match=message):
    zsgen.run(probed, tmp_path, ["train"])
  assert not (tmp_path / "runs").exists()


def test_steps_around_each_use_are_known_before_training(probed, tmp_path):
  owner = experiment.Experiment(config_lib.check(probed), tmp_path)
  ids = owner.planned_ids(owner.order.ids)
  mesh = mesh_lib.make(owner.config.machine.mesh)
  (evaluator,) = probe_lib.make(owner, ids, mesh)
  uses = np.flatnonzero(np.isin(ids, evaluator.ids)) // 4
  assert len(uses) == EXAMPLES
  due = [step for step in range(11) if evaluator.is_due(step, 10)]
  assert due == sorted({0, 6, 9, 10, *uses.tolist(), *(uses + 1).tolist()})


@pytest.mark.slow
def test_a_sample_of_all_training_examples(probed, tmp_path):
  """The sample is the same under every order, and some are never used."""
  probed.probe.update(examples=60, among="train", seed=3, steps=())
  samples = []
  for name, arrangement in (("a", "random"), ("b", "round_robin")):
    probed.name, probed.order.arrangement = name, arrangement
    probed.order.budget = 12
    run = zsgen.run(probed, tmp_path, ["train", "report"]).run
    records = curves.open_run(run)
    samples.append(records.probe().ids)
    memory = probe_view.measure(records)
    assert 0 < memory.trained_on < 60
    assert "The probe" in (run / "report.html").read_text("utf-8")
  np.testing.assert_array_equal(*samples)
  store = zsgen.load_store(records.store)
  assert np.isin(samples[0], store.split_ids(suite.TRAIN)).all()


@pytest.mark.slow
@pytest.mark.numerics
def test_members_of_a_population_have_probes_of_their_own(probed, tmp_path):
  configs = []
  for seed in (0, 1):
    config = probed.copy_and_resolve_references()
    config.seed, config.data.seed = seed, 0
    configs.append(config_lib.check(config))
  quiet = rich.console.Console(quiet=True)
  runs = pipeline.run_population(configs, tmp_path / "together", quiet)
  steps = []
  for config, run in zip(configs, runs, strict=True):
    single = pipeline.run(config, tmp_path / "alone", ["train"], quiet).run
    probes = [curves.open_run(path).probe() for path in (run, single)]
    np.testing.assert_array_equal(probes[0].ids, probes[1].ids)
    np.testing.assert_array_equal(probes[0].steps, probes[1].steps)
    closeness.assert_close(probes[0].losses, probes[1].losses, tolerance=1e-4)
    steps.append(probes[0].steps.tolist())
  assert steps[0] != steps[1]


@pytest.mark.slow
def test_a_fork_has_the_probe_of_its_parent(probed, workdirs, tmp_path):
  parent = _run_of(workdirs.get(probed, "train"))
  fork = probed.copy_and_resolve_references()
  fork.fork, fork.fork_order, fork.name = f"{parent}@5", "tail", "fork"
  run = zsgen.run(fork, tmp_path, ["train"]).run
  assert restarts.records(run) == restarts.records(parent)
  fork.probe.seed = 5
  with pytest.raises(errors.InputError, match=r"probe\.seed is 5, but"):
    zsgen.run(fork, tmp_path, ["train"])
