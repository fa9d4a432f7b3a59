"""The main job in process: stages, feeds, real layouts."""

import copy
import json
import pathlib
import re
import subprocess
import sys

from absl import flags
import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.helpers import refusals
import zsgen
from zsgen import pipeline, verify
from zsgen.core import errors
import zsgen.main

REAL = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data"


def _metrics(run: pathlib.Path) -> list[dict]:
  return [json.loads(line) for line in (run / "metrics.jsonl").open()]


def test_the_full_pipeline(small, tmp_path, capsys):
  small.targets.learns = {"metric": "heldout/loss", "below": 5.5}
  outputs = zsgen.run(small, tmp_path)
  records = _metrics(outputs.run)
  curve = [r["heldout/loss"] for r in records if "heldout/loss" in r]
  assert len(curve) == 4
  assert curve[-1] < curve[0]
  assert [r["step"] for r in records if "train/loss" in r] == list(range(10))
  consumed = np.load(outputs.run / "consumed.npy")
  order = np.load(outputs.order / "ids.npy")
  assert consumed.ravel().tolist() == order.tolist()
  losses = np.load(outputs.run / "evals/heldout/loss.npy")
  assert losses.mean(1, dtype=np.float64) == pytest.approx(curve)
  assert "10 steps verified" in " ".join(verify.verify(outputs.run))
  assert "heldout" in outputs.report.read_text()
  result = json.loads((outputs.run / "result.json").read_text())
  assert result["targets"]["learns"]["met"] is True
  capsys.readouterr()
  repeated = zsgen.run(small, tmp_path)
  assert repeated == outputs
  assert "already finished" in capsys.readouterr().err


@pytest.mark.slow
def test_epochs_of_a_composed_order_are_trained_and_verified(small, tmp_path):
  """Trains batches with an example twice, where an epoch follows another."""
  small.order = dict(
      arrangement="repeat",
      epochs=3,
      fresh=True,
      parts=(
          dict(
              arrangement="concatenate",
              parts=(
                  dict(arrangement="tmt", rounds=(0, 1)),
                  dict(arrangement="random"),
              ),
              budget=15,
          ),
      ),
  )
  outputs = zsgen.run(small, tmp_path)
  assert "12 steps verified of 12" in " ".join(verify.verify(outputs.run))
  consumed = np.load(outputs.run / "consumed.npy").ravel()[:45].reshape(3, 15)
  assert all(len(set(epoch)) == 15 for epoch in consumed.tolist())


def test_one_stage_at_a_time(small, tmp_path):
  assert zsgen.run(small, tmp_path, ["prepare"]).store.is_dir()
  assert not (tmp_path / "orders").exists()
  assert zsgen.run(small, tmp_path, ["order"]).order.is_dir()
  assert not (tmp_path / "runs").exists()
  with pytest.raises(errors.InputError, match="--stage=trian is not known"):
    zsgen.run(small, tmp_path, ["trian"])


def test_training_continues_from_an_export(small, workdirs, tmp_path):
  run = workdirs.run(small, tmp_path).run
  zsgen.run(small, tmp_path, ["export"])
  final = _metrics(run)[-1]["heldout/loss"]
  small.model.init = f"hf:{run}/export-float32"
  continued = zsgen.run(small, tmp_path, ["train"]).run
  assert continued != run
  assert _metrics(continued)[0]["heldout/loss"] == pytest.approx(
      final, rel=1e-6
  )


def test_the_seqio_feed_gives_equal_metrics(small, workdirs, tmp_path):
  pytest.importorskip("seqio")
  from_store = workdirs.run(small, tmp_path / "store").run
  small.data.feed = "seqio"
  from_seqio = zsgen.run(small, tmp_path / "seqio", ["train"]).run
  for name in ("metrics.jsonl", "consumed.npy", "evals/heldout/loss.npy"):
    assert (from_store / name).read_bytes() == (from_seqio / name).read_bytes()


def test_show_batch_marks_the_loss(small, tmp_path, capsys):
  pipeline.show_batch(small, tmp_path)
  output = capsys.readouterr().out
  assert output.count("⟦") == output.count("⏹⟧") == 4
  assert "Output:⟦ " in output
  order = np.load(next(tmp_path.glob("orders/*/ids.npy")))
  for step in (0, 9):
    pipeline.show_batch(small, tmp_path, step)
    ids = re.findall(r"^id (\d+) ", capsys.readouterr().out, re.MULTILINE)
    assert list(map(int, ids)) == order[4 * step :][:4].tolist()
  with pytest.raises(errors.InputError, match="steps of this run are 0 to 9"):
    pipeline.show_batch(small, tmp_path, 10)


@pytest.mark.parametrize(
    "argument, value",
    [
        ("--show_batch", "first"),
        ("--show_batch=0", 0),
        ("--show_batch=12", 12),
        ("--noshow_batch", None),
        ("--nothing", None),
    ],
)
def test_show_batch_takes_a_step_or_none(argument, value):
  flag = copy.deepcopy(flags.FLAGS["show_batch"])
  values = flags.FlagValues()
  flags.DEFINE_flag(flag, values)
  values(["zsgen", argument], known_only=True)
  assert values.show_batch == value


@pytest.mark.parametrize("step", ["-1", "x", "1.5", ""])
def test_show_batch_refuses_what_is_no_step(step):
  flag = copy.deepcopy(flags.FLAGS["show_batch"])
  with pytest.raises(flags.IllegalFlagValueError, match="is not a step"):
    flag.parse(step)


def _niv2(small, path: pathlib.Path):
  small.data.source = "niv2"
  small.data.path = str(path)
  small.data.train_instances = 30
  small.data.heldout_instances = 5
  small.train.batch_size = 1
  small.order.budget = 50
  small.evals.heldout.every_steps = 10
  return small


def test_natural_instructions_in_the_published_layout(small, niv2, tmp_path):
  config = _niv2(small, niv2)
  config.order.budget = 20
  outputs = zsgen.run(config, tmp_path / "w")
  curve = [
      r["heldout/loss"] for r in _metrics(outputs.run) if "heldout/loss" in r
  ]
  assert len(curve) == 3
  assert curve[-1] < curve[0]
  assert "task004_large" in outputs.report.read_text()


@pytest.mark.slow
def test_real_natural_instructions(small, tmp_path):
  """Trains on real data: ten training and four held-out tasks."""
  if not (REAL / "build.py").exists():
    pytest.skip("the real Natural Instructions are not beside the checkout")
  clone = _slice_of_real(tmp_path)
  config = _niv2(small, clone)
  config.data.max_length = 2048
  outputs = zsgen.run(config, tmp_path / "w")
  curve = [
      r["heldout/loss"] for r in _metrics(outputs.run) if "heldout/loss" in r
  ]
  assert len(curve) == 6
  assert curve[-1] < curve[0] - 0.5
  counts = json.loads((outputs.store / "manifest.json").read_text())["counts"]
  assert counts["train"]["tasks"] == 10
  assert counts["heldout"]["tasks"] == 4


def _slice_of_real(tmp_path: pathlib.Path) -> pathlib.Path:
  source, clone = tmp_path / "whole", tmp_path / "clone"
  subprocess.run(
      [sys.executable, REAL / "build.py", "niv2", source], check=True
  )
  for split, count in (("train", 10), ("test", 4)):
    task_list = f"splits/default/{split}_tasks.txt"
    names = (source / task_list).read_text().split()[:count]
    (clone / task_list).parent.mkdir(parents=True, exist_ok=True)
    (clone / task_list).write_text("\n".join(names))
    (clone / "tasks").mkdir(exist_ok=True)
    for name in names:
      (source / "tasks" / f"{name}.json").rename(
          clone / "tasks" / f"{name}.json"
      )
  return clone


def test_an_evaluation_of_an_unknown_set_fails_before_any_work(small, tmp_path):
  small.data.source = "table"
  small.data.path = str(tmp_path / "nothing.jsonl")
  small.data.heldout = {"far": {"share": 0.1}, "near": {"share": 0.1}}
  with pytest.raises(
      errors.InputError, match=r"no held-out set 'heldout'.* far, near"
  ):
    zsgen.run(small, tmp_path / "workdir")
  assert not (tmp_path / "workdir").exists()


def test_errors_before_any_work(small, tmp_path):
  small.evals.heldout.split = "heldot"
  with pytest.raises(errors.InputError, match="no held-out set 'heldot'"):
    zsgen.run(small, tmp_path)
  assert not (tmp_path / "stores").exists()
  small.evals.heldout.split = "heldout"
  small.model.max_positions = 64
  with pytest.raises(errors.InputError, match="longest example"):
    zsgen.run(small, tmp_path)


def test_a_damaged_checkpoint_is_named(small, workdirs, tmp_path):
  run = workdirs.run(small, tmp_path).run
  (run / "result.json").unlink()
  for file in (run / "checkpoints/10/state").rglob("*"):
    if file.is_file() and file.parent.name == "d":
      file.write_bytes(b"broken")
  with pytest.raises(errors.InputError, match="checkpoints/10"):
    zsgen.run(small, tmp_path, ["train"])


def test_a_checkpoint_of_another_run_is_named(small, workdirs, tmp_path):
  run = workdirs.run(small, tmp_path).run
  rate, small.train.learning_rate = small.train.learning_rate, 1e-3
  other_run = zsgen.run(small, tmp_path, ["train"]).run
  (run / "result.json").unlink()
  (run / "checkpoints").rename(run / "old")
  (other_run / "checkpoints").rename(run / "checkpoints")
  small.train.learning_rate = rate
  with pytest.raises(errors.InputError, match="copied here from another run"):
    zsgen.run(small, tmp_path, ["train"])


@pytest.mark.parametrize("lost", ["consumed.npy", "evals/heldout/loss.npy"])
def test_lost_records_are_not_recreated(small, workdirs, tmp_path, lost):
  run = workdirs.run(small, tmp_path).run
  (run / "result.json").unlink()
  original = (run / lost).read_bytes()
  for content in (None, original[:40]):
    (run / lost).unlink(missing_ok=True)
    if content:
      (run / lost).write_bytes(content)
    with pytest.raises(
        errors.InputError, match=f"{lost}: (cannot be read|has 40)"
    ):
      zsgen.run(small, tmp_path, ["train"])
  (run / lost).write_bytes(original)
  rows = np.load(run / lost, mmap_mode="r+")
  rows[1] = -1 if lost == "consumed.npy" else np.nan
  rows.flush()
  with pytest.raises(errors.InputError, match=f"{lost}: "):
    zsgen.run(small, tmp_path, ["train"])


def test_a_heldout_loss_that_is_not_finite_stops_the_run(small, tmp_path):
  small.train.learning_rate = 1e38
  small.train.clip = 1e30
  with pytest.raises(errors.InputError, match=r"finite|is nan|is inf"):
    zsgen.run(small, tmp_path, ["train"])
  (run,) = (tmp_path / "runs").iterdir()
  assert not (run / "result.json").exists()
  assert "NaN" not in (run / "metrics.jsonl").read_text()


def test_a_truncated_log_of_a_finished_run_is_reported(
    small, workdirs, tmp_path
):
  run = workdirs.run(small, tmp_path).run
  log = run / "metrics.jsonl"
  log.write_text("".join(log.open().readlines()[:3]))
  with pytest.raises(errors.InputError, match=r"metrics\.jsonl: has .* bytes"):
    zsgen.run(small, tmp_path, ["report"])


def test_targets_may_change_after_the_end(small, tmp_path):
  small.targets.learns = {"metric": "heldout/loss", "below": 0.1}
  run = zsgen.run(small, tmp_path, ["train"]).run
  small.targets.learns.below = 5.5
  assert zsgen.run(small, tmp_path, ["train"]).run == run
  result = json.loads((run / "result.json").read_text())
  assert result["targets"]["learns"]["met"] is True


def test_an_order_file_may_be_written_after_the_store(small, tmp_path):
  file = tmp_path / "order.txt"
  small.order = dict(arrangement="file", path=str(file))
  message = r"order\.path: .* cannot be read"
  refusals.assert_refused(small, tmp_path, "train", message)
  outputs = zsgen.run(small, tmp_path, ["prepare"])
  examples = pq.read_table(outputs.store / "examples.parquet").to_pylist()
  ids = [row["id"] for row in examples if row["split"] == "train"][:8]
  file.write_text("\n".join(map(str, ids[::-1])))
  order = zsgen.run(small, tmp_path, ["order"]).order
  assert np.load(order / "ids.npy").tolist() == ids[::-1]
