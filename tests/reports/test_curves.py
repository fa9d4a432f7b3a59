"""Reading a run's records."""

import numpy as np
import pytest

from zsgen.core import errors
from zsgen.reports import curves


def test_metrics_are_curves_by_path(write_run):
  run = write_run(lambda step, index: 5.0 - step / 10)
  assert run.steps == 10
  assert run.metrics["heldout/loss"].steps.tolist() == list(range(11))
  assert run.metrics["train/loss"].steps.tolist() == list(range(10))
  assert run.metrics["heldout/loss"].values[-1] == pytest.approx(4.0)
  assert run.perf["perf/step_seconds"].values.tolist() == [0.5] * 10


def test_tasks_are_those_of_one_evaluation(write_run):
  run = write_run()
  extra = {"heldout_family/x/loss": None, "heldout/a/b/loss": None}
  run.__dict__["metrics"] = {**run.metrics, **extra}
  tasks = run.tasks("heldout")
  assert "a/b" in tasks and "x" not in tasks and "loss" not in tasks


def test_pending_evaluations_are_left_out(tmp_path):
  losses = np.array([[3, 2], [1, np.nan], [np.nan, np.nan]], np.float32)
  for name, values in dict(loss=losses, steps=[0, 5, 9], ids=[7, 8]).items():
    np.save(tmp_path / f"{name}.npy", values)
  actual = curves.read_evaluation(tmp_path)
  assert actual.steps.tolist() == [0, 5]
  assert actual.losses.shape == (2, 2)


def test_damage_is_reported(write_run, tmp_path):
  run = write_run()
  log = run.path / "metrics.jsonl"
  log.write_text(log.read_text() + '{"step": 1')
  with pytest.raises(errors.InputError, match=r"metrics.jsonl.*line 22"):
    _ = run.metrics
  (run.path / "evals" / "heldout" / "loss.npy").write_bytes(b"no")
  with pytest.raises(errors.InputError, match="evals/heldout"):
    run.evaluation("heldout")
  with pytest.raises(errors.InputError, match=r"has no manifest\.json"):
    curves.open_run(tmp_path)
  with pytest.raises(errors.InputError, match="not the manifest of a run"):
    curves.open_run(run.store)
