"""Trajectories of runs as tables."""

import numpy as np
import pyarrow.parquet as pq
import pytest

import zsgen
from zsgen.core import errors
from zsgen.reports import __main__ as reports
from zsgen.reports import curves, probe_view, trajectory


def test_steps_losses_and_examples(write_run):
  records = write_run(lambda step, index: step + index / 8)
  ids = np.load(records.path / "consumed.npy")
  ids[:2] = [[5, 6, 7, 8], [1, 2, -1, -1]]
  np.save(records.path / "consumed.npy", ids)
  steps, losses, examples = zsgen.load_run(records.path).trajectory
  assert steps.column_names == ["step", "ids", "loss", "learning_rate"]
  assert steps["ids"].to_pylist()[:2] == [[5, 6, 7, 8], [1, 2]]
  store = zsgen.load_store(records.store)
  heldout = store.split_ids("heldout")
  assert len(losses) == 11 * len(heldout)
  row = losses.slice(3 * len(heldout) + 2, 1).to_pylist()[0]
  assert row == {
      **{"step": 3, "evaluation": "heldout"},
      **{"id": int(heldout[2]), "loss": 3.25},
  }
  described = {row["id"]: row for row in examples.to_pylist()}
  assert set(heldout.tolist()) < set(described)
  assert {described[i]["split"] for i in heldout.tolist()} == {"heldout"}
  assert (described[5]["split"], described[5]["tokens"]) == (
      *("train", store.lengths[5]),
  )
  assert described[5]["key"] == store.keys(np.array([5]))[0]


def test_the_command_writes_a_directory_for_each_run(
    write_run, tmp_path, capsys
):
  run = write_run()
  out = tmp_path / "out"
  assert reports.main(["trajectory", str(run.path), f"--out={out}"]) == 0
  directory = out / run.path.name
  lines = capsys.readouterr().out.splitlines()
  assert lines == [f"written  {directory}", f"tables   {out}"]
  for name in ("steps", "losses", "examples"):
    table = pq.read_table(directory / f"{name}.parquet")
    assert table.equals(getattr(zsgen.load_run(run.path).trajectory, name))
  card = (directory / "README.md").read_text("utf-8")
  assert run.path.name.replace("-", "") in card.replace("\\", "").replace(
      "-", ""
  )
  assert reports.main(["trajectory", str(run.path), f"--out={out}"]) == 2
  assert "exists already" in capsys.readouterr().err


def test_a_damaged_run_writes_nothing(write_run, tmp_path):
  run = write_run()
  (run.path / "evals" / "heldout" / "loss.npy").write_bytes(b"")
  with pytest.raises(errors.InputError, match="evals/heldout"):
    trajectory.write(run.path, tmp_path / "out")
  assert not (tmp_path / "out").exists()


def test_a_run_without_a_probe(write_run):
  run = zsgen.load_run(write_run().path)
  with pytest.raises(errors.InputError, match="has no probe"):
    run.probe  # noqa: B018


def test_losses_are_aligned_at_the_step_that_trains_on_an_example(
    write_run, monkeypatch
):
  run = write_run()
  evaluation = curves.Evaluation(
      np.arange(11), np.array([3, 5, 8]), np.zeros((11, 3), np.float32)
  )
  evaluation.losses[:] = 4.0
  evaluation.losses[3:, 0] = 2.0  # Trained on at step 2: it remembers.
  evaluation.losses[5:, 1] = 3.0  # Trained on at step 4: it forgets a half.
  evaluation.losses[7:, 1] = 3.5
  consumed = np.full((10, 4), 1)
  consumed[2, 1], consumed[4, 0] = 3, 5
  monkeypatch.setattr(curves.RunRecords, "probe", lambda self: evaluation)
  monkeypatch.setattr(curves.RunRecords, "consumed", lambda self: consumed)
  memory = probe_view.measure(run)
  assert memory.memorised.tolist() == [2.0, 1.0]
  assert memory.forgotten.tolist() == [0.0, 0.5]
  assert (memory.trained_on, memory.examples) == (2, 3)
  steps, values = probe_view.align(run)
  by_step = dict(zip(steps.tolist(), values.tolist(), strict=True))
  assert by_step[0] == 0 and by_step[1] == -1.5
  assert max(by_step[step] for step in by_step if step < 0) == 0
  assert by_step[9.0] == -2.0  # Only the first one is evaluated that late.
