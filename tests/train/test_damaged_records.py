"""Damaged records of a run are found before a number of them is used."""

import io
import json
import pathlib
import shutil

import numpy as np
import pytest
import rich.console

from zsgen import pipeline
from zsgen.core import artifacts, errors
from zsgen.core import config as config_lib
from zsgen.reports import curves
from zsgen.train import proof, record_digests, records

RECORDS = [
    "metrics.jsonl",
    "consumed.npy",
    "evals/heldout/loss.npy",
    "evals/heldout/steps.npy",
    "evals/heldout/ids.npy",
    "evals/answers/predictions-0.jsonl",
    "evals/answers/predictions-10.jsonl",
]


@pytest.fixture(scope="module")
def config():
  """Returns a config of 10 steps, evaluated every 4 and saved every 5."""
  small = config_lib.defaults()
  small.name = "small"
  small.data.train_instances, small.data.heldout_instances = 4, 1
  small.order.arrangement, small.order.budget = "random", 40
  small.model.init, small.model.layers, small.model.width = "new", 1, 16
  small.model.heads = small.model.kv_heads = 1
  small.model.head_width, small.model.mlp_width = 16, 16
  small.train.batch_size = 4
  small.evals.heldout.every_steps = 4
  small.evals.answers = {"type": "copy_input", "every_steps": 10}
  small.machine.save_every, small.machine.layouts = 5, 1
  small.machine.tensorboard = False
  return small


def _do(config, workdir, stage) -> str:
  """Runs a stage; returns what it said."""
  output = io.StringIO()
  console = rich.console.Console(file=output, soft_wrap=True)
  pipeline.run(config, workdir, [stage], console)
  return output.getvalue()


@pytest.fixture(scope="module")
def intact(config, workdirs):
  """Returns a workdir with a finished run."""
  return workdirs.get(config, "train")


@pytest.fixture
def workdir(intact, tmp_path):
  """Copies the workdir, to damage the copy."""
  shutil.copytree(intact, tmp_path / "workdir")
  return tmp_path / "workdir"


@pytest.fixture
def run(workdir) -> pathlib.Path:
  (run,) = (workdir / "runs").iterdir()
  return run


def _flip(path: pathlib.Path) -> None:
  data = bytearray(path.read_bytes())
  data[2 * len(data) // 3] ^= 2
  path.write_bytes(data)


def _spoil(path: pathlib.Path) -> None:
  data = path.read_bytes()
  path.write_bytes(data[:20] + b"\xff\0\xc3" + data[23:])


DAMAGES = {
    "flip": _flip,
    "spoil": _spoil,
    "truncate": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "lengthen": lambda path: path.write_bytes(path.read_bytes() + b"\n"),
    "empty": lambda path: path.write_bytes(b""),
    "delete": pathlib.Path.unlink,
}


def _content(run: pathlib.Path) -> dict[str, bytes]:
  return {name: (run / name).read_bytes() for name in [*RECORDS, "result.json"]}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_to_every_record_of_a_finished_run_is_noticed(run, damage):
  (digests := record_digests.check_finished(run)).pop("metrics.jsonl")
  assert {*digests, "metrics.jsonl"} == {*RECORDS, *_arrays(run)}
  for name in RECORDS:
    before = (run / name).read_bytes()
    DAMAGES[damage](run / name)
    with pytest.raises(errors.InputError, match=f"{name}: .*Delete .*result"):
      curves.open_run(run)
    with pytest.raises(errors.InputError, match=f"{name}: "):
      proof.check(run)
    (run / name).write_bytes(before)
  curves.open_run(run)


def _arrays(run: pathlib.Path) -> set[str]:
  return {str(path.relative_to(run)) for path in run.glob("evals/*/*.npy")}


@pytest.mark.slow
def test_a_report_or_an_export_of_a_damaged_run_is_refused(
    config, workdir, run
):
  before = _content(run)
  _flip(run / "metrics.jsonl")
  for stage in ("report", "export", "train"):
    with pytest.raises(errors.InputError, match=r"metrics\.jsonl: was changed"):
      _do(config, workdir, stage)
  assert not list(run.glob("export*")) and not (run / "report.html").exists()
  # What the message says, step by step.
  (run / "result.json").unlink()
  with pytest.raises(errors.InputError) as caught:
    _do(config, workdir, "train")
  newest = run / "checkpoints" / "10"
  assert f"step 5: delete {newest} to resume from it" in str(caught.value)
  shutil.rmtree(newest)
  assert "from step 5 of 10" in _do(config, workdir, "train")
  assert _content(run) == before
  proof.check(run)


def test_a_missing_last_checkpoint(config, workdir, run):
  before = _content(run)
  shutil.rmtree(run / "checkpoints" / "10")
  assert "already finished" in _do(config, workdir, "train")
  with pytest.raises(errors.InputError, match=r"result.json and .*from step 5"):
    _do(config, workdir, "export")
  (run / "result.json").unlink()
  assert "from step 5 of 10" in _do(config, workdir, "export")
  assert len(list(run.glob("export*"))) == 1
  assert _content(run) == before


def test_missing_checkpoints(config, workdir, run):
  shutil.rmtree(run / "checkpoints")
  assert "already finished" in _do(config, workdir, "train")
  assert "report.html" in _do(config, workdir, "report")
  with pytest.raises(
      errors.InputError,
      match=r"has no checkpoints.*delete .*result.json and run",
  ):
    _do(config, workdir, "export")


@pytest.mark.slow
def test_a_run_without_checkpoints_is_retrained(config, workdir, run):
  before = _content(run)
  shutil.rmtree(run / "checkpoints")
  (run / "result.json").unlink()
  assert "from step 0 of 10" in _do(config, workdir, "train")
  assert _content(run) == before


def _read(path: pathlib.Path) -> dict:
  return artifacts.read_sealed(path, record_digests.identity(path.parent), "")


def _start_from(config, init: str):
  other_config = config.copy_and_resolve_references()
  other_config.model, other_config.name = {"init": init}, "other"
  return other_config


def test_a_start_from_missing_checkpoints(config, workdir, run):
  shutil.rmtree(run / "checkpoints" / "10")
  other_config = _start_from(config, f"run:{run}")
  with pytest.raises(
      errors.InputError, match=r"that of step 5 of 10.*@5'\. To"
  ):
    _do(other_config, workdir, "evaluate")
  at_5 = _start_from(config, f"run:{run}@5")
  assert "the checkpoint of step 5" in _do(at_5, workdir, "evaluate")
  shutil.rmtree(run / "checkpoints")
  for init in (f"run:{run}", f"run:{run}@5"):
    advice = f"delete {run}/result.json and run the command"
    with pytest.raises(errors.InputError, match=advice):
      _do(_start_from(config, init), workdir, "evaluate")


def test_a_start_from_an_exchanged_checkpoint(config, workdir, run):
  checkpoints = run / "checkpoints"
  shutil.rmtree(checkpoints / "10" / "state")
  shutil.copytree(checkpoints / "5" / "state", checkpoints / "10" / "state")
  other_config = _start_from(config, f"run:{run}")
  newest = r"10: .*mismatch in params.*:.*@5'\. To .*elete .*/10, then delete"
  with pytest.raises(errors.InputError, match=newest):
    _do(other_config, workdir, "evaluate")
  advice = (
      r"checkpoints/10: .*damaged.* delete .*/10, then delete .*result.json"
  )
  with pytest.raises(errors.InputError, match=advice):
    proof.check(run)
  at_5 = _start_from(config, f"run:{run}@5")
  assert "the checkpoint of step 5" in _do(at_5, workdir, "evaluate")
  (checkpoints / "10" / "meta" / "metadata").write_text("{}")
  newest = r"10: .*expected fields.*'run:.*@5'\. To .*elete .*/10, then delete"
  with pytest.raises(errors.InputError, match=newest):
    _do(other_config, workdir, "evaluate")


@pytest.mark.parametrize(
    "damage",
    [
        "spoil",
        *(
            pytest.param(damage, marks=pytest.mark.slow)
            for damage in ("truncate", "empty", "delete")
        ),
    ],
)
def test_clocks_never_block_a_report(config, workdir, run, damage):
  DAMAGES[damage](run / "perf.jsonl")
  output = _do(config, workdir, "report")
  lost = "imes of this run are lost"
  assert (lost in output) == (damage != "truncate")  # Of the last line's end.
  assert (lost in (run / "report.html").read_text()) == (lost in output)
  (run / "result.json").unlink()
  assert "at step 10" not in _do(config, workdir, "train")
  proof.check(run)


@pytest.mark.parametrize("name", ["result.json", "config.json"])
@pytest.mark.parametrize("damage", ["flip", "spoil", "truncate", "empty"])
def test_changed_results_and_configs(run, name, damage):
  DAMAGES[damage](run / name)
  if damage == "truncate":  # Of the last line's end.
    curves.open_run(run)
    return
  with pytest.raises(errors.InputError, match=f"{name}: is damaged, was ch"):
    curves.open_run(run)


@pytest.mark.parametrize("name", ["result.json", "config.json"])
def test_files_of_another_run_are_refused(run, name):
  artifacts.write_sealed(run / name, _read(run / name), "another run")
  with pytest.raises(errors.InputError, match=f"{name}: .*was copied here"):
    curves.open_run(run)


def test_a_changed_result_is_rewritten(config, workdir, run):
  before = _content(run)
  result = _read(run / "result.json")
  result["evals"]["heldout"]["loss"]["final"] = 0.1
  (run / "result.json").write_text(
      json.dumps({**result, "digest": before and "0" * 64})
  )
  with pytest.raises(errors.InputError, match="Delete it: the command that"):
    _do(config, workdir, "report")
  (run / "result.json").unlink()
  _do(config, workdir, "train")
  assert _content(run) == before


@pytest.mark.slow
def test_runs_of_an_older_version_are_read(config, workdir, run):
  result = _read(run / "result.json")
  del result["records"]
  (run / "result.json").write_text(json.dumps(result))
  (run / "config.json").write_text(json.dumps(_read(run / "config.json")))
  for path in (run / "checkpoints").glob("*/meta/metadata"):
    saved_records = json.loads(path.read_text())["records"]
    lengths = {n: saved_records[n][0] for n in ("metrics.jsonl", "perf.jsonl")}
    meta = {"step": int(path.parts[-3]), "lengths": lengths}
    path.write_text(json.dumps(meta))
  output = "\n".join(proof.check(run))
  assert "records are not checked: an older version" in output
  assert "checkpoint of step 10: not checked: an older version" in output
  assert "report.html" in _do(config, workdir, "report")
  before = _content(run)
  (run / "result.json").unlink()
  shutil.rmtree(run / "checkpoints" / "10")
  output = _do(config, workdir, "train")
  assert "from step 5 of 10" in output and "not checked: an older" in output
  after = _content(run)
  assert {n: after[n] for n in RECORDS} == {n: before[n] for n in RECORDS}
  assert record_digests.check_finished(run)


def test_a_resumed_run_checks_its_records(config, workdir, run):
  (run / "result.json").unlink()
  shutil.rmtree(run / "checkpoints" / "10")
  line = f"run {run}: 9 records verified"
  assert line in proof.check(run)
  for name in ("metrics.jsonl", "consumed.npy", "evals/heldout/loss.npy"):
    before = (run / name).read_bytes()
    data = bytearray(before)
    data[140] ^= 1  # Of the first record, or of the first row.
    (run / name).write_bytes(data)
    with pytest.raises(errors.InputError, match=f"{name}: was changed"):
      proof.check(run)
    with pytest.raises(errors.InputError, match=f"{name}: .*{run} to start fr"):
      _do(config, workdir, "train")
    (run / name).write_bytes(before)


def test_damaged_files_that_every_start_rewrites_cost_no_training(
    config, workdir, run
):
  before = _content(run)
  _flip(run / "evals/heldout/ids.npy")
  (run / "evals/heldout/steps.npy").unlink()
  with pytest.raises(errors.InputError, match=r"Delete .*result\.json"):
    _do(config, workdir, "report")
  (run / "result.json").unlink()  # As it says.
  assert "from step 10 of 10" in _do(config, workdir, "train")
  assert _content(run) == before


def test_a_finished_run_is_hashed_a_few_times(config, workdir, monkeypatch):
  hashed = []
  original = record_digests.hash_prefix
  monkeypatch.setattr(
      record_digests,
      "hash_prefix",
      lambda path, size: hashed.append(path.name) or original(path, size),
  )
  pipeline.run(config, workdir, console=rich.console.Console(quiet=True))
  # To train, for result.json, to report, and where the report opens it.
  assert hashed.count("metrics.jsonl") <= 4


def test_rows_are_written_in_sequence(tmp_path):
  path = tmp_path / "table.npy"
  table = records.Table(path, np.full((3, 2), np.nan, np.float32), 0)
  table.write(0, np.array([1.0, 2.0]))
  with pytest.raises(ValueError, match="row 2 is written, but row 1 is next"):
    table.write(2, np.zeros(2))
  first = table.sync()
  assert first.size == path.stat().st_size - 16
  assert (
      first.sha256 == record_digests.hash_prefix(path, first.size).hexdigest()
  )
  table.write(1, np.array([3.0, 4.0], np.float64))
  reopened = records.Table(path, np.full((3, 2), np.nan, np.float32), 1)
  assert reopened.sync() == first
  assert np.isnan(np.load(path)[1:]).all()
