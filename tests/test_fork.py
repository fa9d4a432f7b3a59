"""A run may go on from the state of another one, under another order."""

import json
import shutil

import numpy as np
import pyarrow.compute as pc
import pytest
import rich.console

from tests.helpers import closeness, refusals, restarts
import zsgen
from zsgen import pipeline, verify
from zsgen.core import config as config_lib
from zsgen.core import errors
from zsgen.orders import order as order_lib
from zsgen.pipeline import experiment, train
from zsgen.reports import curves
from zsgen.reports.interactive import subject as subject_lib
from zsgen.train import batches, checkpoints, lineage

# Of the parent's 10 steps.
STEP = 5


@pytest.fixture
def parent(small, workdirs):
  """Returns a finished run of 10 steps, saved at 5 and 10; not to be changed."""
  return _run_of(workdirs.get(small, "train"))


@pytest.fixture
def forked(small, parent):
  """Returns a config that forks it, under another order."""
  return _fork(small, parent, STEP)


def _fork(small, run, step, part="rest"):
  config = small.copy_and_resolve_references()
  config.name, config.fork, config.fork_order = "fork", f"{run}@{step}", part
  if part != "tail":
    config.order = {"arrangement": "random", "budget": 18}
  return config


def _run_of(workdir):
  (run,) = (workdir / "runs").iterdir()
  return run


def _train(config, workdir):
  return zsgen.run(config, workdir, ["train"]).run


def _consumed(run):
  return np.load(run / "consumed.npy")


def test_the_same_order_gives_the_bytes_of_the_parent(small, parent, tmp_path):
  run = _train(_fork(small, parent, STEP, "tail"), tmp_path)
  assert run.name != parent.name
  assert restarts.records(run) == restarts.records(parent)
  assert restarts.parameters(run) == restarts.parameters(parent)


def test_a_fork_consumes_what_its_parent_did_not(
    parent, forked, tmp_path, capsys
):
  run = _train(forked, tmp_path)
  consumed, before = _consumed(run), _consumed(parent)[:STEP]
  np.testing.assert_array_equal(consumed[:STEP], before)
  assert consumed.shape == (STEP + 5, 4)  # 18 examples take 5 steps.
  rest = consumed[STEP:][consumed[STEP:] != batches.NO_EXAMPLE]
  assert len(rest) == 18 and not np.isin(rest, before).any()
  order = order_lib.Order.load(next((tmp_path / "orders").iterdir()))
  np.testing.assert_array_equal(rest, order.ids)
  lines = (run / "metrics.jsonl").read_bytes().splitlines()
  log = (parent / "metrics.jsonl").read_bytes().splitlines()
  steps = [json.loads(line)["step"] for line in log]
  count = steps.index(STEP)
  assert lines[:count] == log[:count] and lines[count] != log[count]
  evaluated = curves.read_evaluation(run / "evals" / "heldout")
  assert evaluated.steps.tolist() == [0, 4, 8, 10]
  output = " ".join(capsys.readouterr().err.split())
  assert f"the state of step 5 of {parent.resolve()}, which goes on" in output
  assert "without the 20 examples that were consumed" in output


def test_verify_and_the_page_follow_the_lineage(forked, parent, tmp_path):
  zsgen.run(forked, tmp_path)
  run = _run_of(tmp_path)
  title = f"run {run}: forked from step 5 of {parent.resolve()}"
  lines = verify.verify(run)
  assert f"{title}: lineage verified" in lines
  assert any("10 steps verified of 10" in line for line in lines)
  tables = zsgen.load_run(run)
  assert (
      tables.order["step"].to_pylist()
      == tables.consumed.filter(
          pc.greater_equal(tables.consumed["step"], STEP)
      )["step"].to_pylist()
  )
  page = (run / "report.html").read_text("utf-8")
  assert f"step 5 of {parent.name}" in page
  assert f"forked from {parent.name} at step 5" in page
  # Its figures also have the curve of the rest of the parent.
  own, drawn = subject_lib.from_run(curves.open_run(run)).members
  assert drawn.is_parent and f'"{drawn.label}"' in page
  steps, losses = drawn.metrics["heldout/loss"]
  assert list(steps) == [0, 4, 8, 10]
  assert losses[0] == own.metrics["heldout/loss"].values[0]
  assert losses[-1] != own.metrics["heldout/loss"].values[-1]
  # A consumed id that the parent did not plan.
  consumed = np.load(run / "consumed.npy", mmap_mode="r+")
  consumed[STEP - 1, 0], consumed[STEP - 1, 1] = consumed[STEP - 1, [1, 0]]
  consumed.flush()
  with pytest.raises(errors.InputError, match="step 4, position 0: expected"):
    verify.verify(run)


def test_verify_reports_a_parent_that_is_gone_or_another(
    small, parent, tmp_path
):
  copied = shutil.copytree(parent.parents[1], tmp_path / "parent")
  run = _train(_fork(small, _run_of(copied), STEP), tmp_path / "fork")
  checkpoint = _run_of(copied) / "checkpoints" / str(STEP)
  shutil.rmtree(checkpoint)
  assert any("no longer there" in line for line in verify.verify(run))
  shutil.rmtree(copied)
  message = r"first 5 steps cannot be verified\. Put it back"
  with pytest.raises(errors.InputError, match=message):
    verify.verify(run)


@pytest.mark.slow
def test_a_fork_selects_from_all_that_is_left_by_its_parents_model(
    parent, forked, tmp_path
):
  forked.order = {
      "arrangement": "tmt",
      "budget": 12,
      "embedder": "hidden",
      "checkpoint": f"{parent}@{STEP}",
  }
  run = _train(forked, tmp_path)
  order = order_lib.Order.load(next((tmp_path / "orders").iterdir()))
  (model,) = order.manifest["made_by"]["embedder"]["parameters"]["models"]
  assert model["step"] == STEP
  np.testing.assert_array_equal(_consumed(run)[STEP:].ravel(), order.ids)
  assert not np.isin(order.ids, _consumed(parent)[:STEP]).any()
  # Its parent would never have consumed some of them.
  assert not np.isin(order.ids, _consumed(parent)).all()


@pytest.mark.slow
def test_a_fork_of_a_fork_that_ends_in_a_partial_step(small, forked, tmp_path):
  first = _train(forked, tmp_path / "first")
  second_config = _fork(small, first, 10, "all")
  second = _train(second_config, tmp_path / "second")
  consumed = _consumed(second)
  np.testing.assert_array_equal(consumed[:10], _consumed(first))
  assert (consumed[9] == batches.NO_EXAMPLE).sum() == 2
  np.testing.assert_array_equal(lineage.planned_ids(second), consumed)
  repeated = consumed[10:][consumed[10:] != batches.NO_EXAMPLE]
  assert np.isin(repeated, consumed[:10]).any()  # All examples are in its pool.
  steps = curves.read_evaluation(second / "evals" / "heldout").steps
  assert steps.tolist() == [0, 4, 8, 10, 12, 15]
  lines = verify.verify(second)
  assert sum("lineage verified" in line for line in lines) == 2


@pytest.mark.slow
def test_a_killed_fork_has_the_bytes_of_an_unbroken_one(forked, tmp_path):
  forked.machine.save_every = 8
  unbroken = _train(forked, tmp_path / "unbroken")
  # Killed before its first save, it begins with the parent's state again.
  killed = restarts.start(forked, tmp_path / "killed", "step:7")
  assert killed.returncode == -9, killed.stderr
  killed = restarts.start(forked, tmp_path / "killed", "step:9")
  assert killed.returncode == -9 and "from step 5 of 10" in killed.stderr
  resumed = restarts.start(forked, tmp_path / "killed")
  assert resumed.returncode == 0, resumed.stderr
  assert "from step 8 of 10" in resumed.stderr
  run = _run_of(tmp_path / "killed")
  assert restarts.records(run) == restarts.records(unbroken)
  assert restarts.parameters(run) == restarts.parameters(unbroken)


def _name(config, workdir):
  checked = config_lib.check(config)
  return experiment.Experiment(checked, workdir).run.path.name


def test_a_forks_name_depends_on_the_parent_and_not_on_its_path(
    small, parent, forked, tmp_path
):
  copied = shutil.copytree(parent.parents[1], tmp_path / "moved")
  name = _name(forked, tmp_path / "work")
  moved = _fork(small, _run_of(copied), STEP)
  assert _name(moved, tmp_path / "work") == name
  names = {
      _name(_fork(small, parent, step, part), tmp_path / "work")
      for step, part in ((STEP, "rest"), (10, "rest"), (STEP, "all"))
  }
  assert len(names) == 3 and name in names


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fork": "nowhere@5"}, "there is no directory nowhere"),
        (
            {"train": {"batch_size": 8}},
            "config.train.batch_size is 8, but 4 in",
        ),
        ({"model": {"width": 64}}, r"config\.model\.width is 64, but 32 in"),
        (
            {"train": {"first_moment": "bfloat16"}},
            "config.train.first_moment is 'bfloat16', but 'float32'",
        ),
        ({"seed": 1}, r"config\.data\.seed is 1, but 0 in the data of"),
        ({"data": {"heldout_instances": 2}}, "heldout_instances is 2, but 1"),
        (
            {"evals": {"heldout": {"max_examples": 3}}},
            "evals.heldout.max_examples is 3, but -1",
        ),
        ({"lora": {"rank": 2}}, r"config\.lora\.alpha is 16.0, but None in"),
    ],
)
def test_a_config_that_does_not_fit_is_refused_before_any_work(
    forked, tmp_path, options, message
):
  forked.update(options)
  refusals.assert_refused(forked, tmp_path / "work", "train", message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fork": "runs/x"}, "config.fork is 'runs/x'; it must be a run's"),
        ({"fork": "runs/x@last"}, "it must be a run's directory, @ and the"),
        ({"fork_order": "all"}, "only a fork reads it"),
    ],
)
def test_options_that_are_malformed(small, options, message):
  small.update(options)
  with pytest.raises(errors.InputError, match=message):
    config_lib.check(small)


def test_a_checkpoint_that_is_gone_unfinished_or_damaged(
    small, parent, tmp_path
):
  copied = shutil.copytree(parent.parents[1], tmp_path / "parent")
  run = _run_of(copied)
  saved = run / "checkpoints"
  (saved / "7.orbax-checkpoint-tmp").mkdir()
  for step, message in (
      (3, r"no checkpoint of step 3\. It has those of steps 5, 10: fork one"),
      (7, r"of step 7\. Its save was not completed\. It has those"),
  ):
    with pytest.raises(errors.InputError, match=message):
      _train(_fork(small, run, step), tmp_path / "work")
  arrays = max(
      (path for path in (saved / "10").rglob("*") if path.is_file()),
      key=lambda path: path.stat().st_size,
  )
  content = bytearray(arrays.read_bytes())
  content[len(content) // 2] ^= 1
  arrays.write_bytes(content)
  message = r"damaged \(.*newest whole one before it, set config\.fork='.*@5'"
  forked = _fork(small, run, 10)
  refusals.assert_refused(forked, tmp_path / "work", "train", message)


def test_another_state_than_before_and_nothing_left(small, parent, tmp_path):
  copied = shutil.copytree(parent.parents[1], tmp_path / "parent")
  config = _fork(small, _run_of(copied), STEP)
  owner = experiment.Experiment(config_lib.check(config), tmp_path / "work")
  owner.run.begin()
  manifest = owner.run.path / "manifest.json"
  written = json.loads(manifest.read_text())
  written["lineage"]["checkpoint"] = "0" * 64
  zsgen.core.artifacts.write_manifest(owner.run.path, written)
  with pytest.raises(errors.InputError, match="was trained again since"):
    _train(config, tmp_path / "work")
  with pytest.raises(errors.InputError, match="nothing is left to train"):
    _train(_fork(small, parent, 10, "tail"), tmp_path / "work")


@pytest.mark.slow
def test_feeds_of_a_fork_are_equal(small, parent, tmp_path):
  pytest.importorskip("seqio")
  for part in ("rest", "tail"):
    examples = {}
    for kind in ("store", "seqio"):
      config = _fork(small, parent, STEP, part)
      config.data.feed = kind
      owner = experiment.Experiment(config_lib.check(config), tmp_path)
      feed = train.make_feed(owner, STEP)
      examples[kind] = [feed(step).ids.tolist() for step in range(STEP, 10)]
    assert examples["store"] == examples["seqio"]


@pytest.mark.slow
@pytest.mark.numerics
def test_members_of_a_population_are_forks(small, parent, tmp_path):
  configs = []
  for name, arrangement in (("a", "random"), ("b", "round_robin")):
    config = _fork(small, parent, STEP)
    config.name, config.order.arrangement = name, arrangement
    configs.append(config_lib.check(config))
  quiet = rich.console.Console(quiet=True)
  runs = pipeline.run_population(configs, tmp_path / "together", quiet)
  for config, run in zip(configs, runs, strict=True):
    single = pipeline.run(config, tmp_path / "alone", ["train"], quiet).run
    assert run.name == single.name
    np.testing.assert_array_equal(_consumed(run), _consumed(single))
    losses = [
        np.load(path / "evals/heldout/loss.npy") for path in (run, single)
    ]
    closeness.assert_close(*losses, tolerance=1e-4)
    with checkpoints.Finished(run) as saved:
      assert saved.steps() == [10]
