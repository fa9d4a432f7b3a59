"""`--stage=evaluate`, and a run that chooses."""

import json

import numpy as np
import pytest

from tests.helpers import choice_tables
import zsgen
from zsgen.core import config as config_lib
from zsgen.core import errors
from zsgen.reports import comparison, comparison_report


@pytest.fixture
def choosing(small, tmp_path):
  path = choice_tables.write(tmp_path / "t.jsonl", choice_tables.rows())
  small.evals.part = {"split": "heldout", "max_examples": 5, "every_steps": 2}
  return choice_tables.use(small, path)


def _first(run):
  """Returns the metrics of a run at step 0."""
  metrics = {}
  for line in (run / "metrics.jsonl").open():
    record = json.loads(line)
    if record.pop("step") == 0:
      metrics |= record
  return {
      name: value
      for name, value in metrics.items()
      if not name.startswith("train/")
  }


@pytest.mark.slow
def test_a_run_that_chooses_and_its_start_without_training(
    choosing, tmp_path, capsys
):
  run_result = zsgen.run(choosing, tmp_path / "w")
  output = capsys.readouterr().err
  assert output.count("part: 5 of 12 examples, 2 tasks") == 1
  assert " share " in output and " nats " in output
  page = run_result.report.read_text()
  assert "Held-out accuracy and loss" in page
  for row, unit in {
      "choosing accuracy": "share",
      "choosing over tasks": "share",
      "choosing accuracy by sum": "share",
      "heldout loss": "nats",
      "heldout over tasks": "nats",
  }.items():
    assert f"<td class=w>{row}</td><td class=w>{unit}</td>" in page
  compared = tmp_path / "compared"
  points = [
      comparison.Point(label, 0, run_result.run) for label in ("random", "same")
  ]
  comparison_report.write(compared, points)
  text = (compared / "comparison.md").read_text()
  assert "**choosing accuracy (share)**" in text and "above 0 is better" in text
  result = json.loads((run_result.run / "result.json").read_text())
  assert 0 <= result["evals"]["choosing"]["accuracy"]["final"] <= 1

  evaluated = zsgen.run(choosing, tmp_path / "w", ["evaluate"]).evaluation
  output = capsys.readouterr().err
  assert "accuracy by sum" in output and "share" in output and "12" in output
  metrics = json.loads((evaluated / "metrics.json").read_text())
  assert metrics == _first(run_result.run)
  for name in ("heldout", "choosing", "part"):
    evaluation, run_evaluation = (
        path / "evals" / name for path in (evaluated, run_result.run)
    )
    losses = np.load(evaluation / "loss.npy")
    np.testing.assert_array_equal(
        losses, np.load(run_evaluation / "loss.npy")[:1]
    )
    assert (evaluation / "ids.npy").read_bytes() == (
        run_evaluation / "ids.npy"
    ).read_bytes()
  second_evaluation = zsgen.run(
      choosing, tmp_path / "w", ["evaluate"]
  ).evaluation
  assert second_evaluation == evaluated
  assert len(list((tmp_path / "w/evaluations").iterdir())) == 1


@pytest.mark.slow
def test_the_end_of_a_run_evaluated(choosing, tmp_path):
  run = zsgen.run(choosing, tmp_path / "w", ["train"]).run
  evaluated = {}
  step = len(np.load(run / "consumed.npy"))
  for init in (f"run:{run}", f"run:{run}@{step}"):
    choosing.model.init = init
    choosing.evals.choosing.every_steps = 7  # No part of what is evaluated.
    path = zsgen.run(choosing, tmp_path / "w", ["evaluate"]).evaluation
    evaluated[path] = json.loads((path / "metrics.json").read_text())
  (metrics,) = evaluated.values()
  last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
  shared = metrics.keys() & last.keys()
  assert shared
  assert all(metrics[name] == last[name] for name in shared)


def test_no_order_is_made(choosing, tmp_path):
  zsgen.run(choosing, tmp_path / "w", ["evaluate"])
  assert not (tmp_path / "w/orders").exists()
  assert not (tmp_path / "w/runs").exists()


def test_missing_choices_are_reported_before_training(choosing, tmp_path):
  choosing.data.fields.choices = ""
  message = r"config\.evals\.choosing: .*config\.data\.fields\.choices"
  for stage in ("prepare", "train", "evaluate"):
    with pytest.raises(errors.InputError, match=message):
      zsgen.run(choosing, tmp_path / "w", [stage])
  assert not (tmp_path / "w/orders").exists()


def test_rows_longer_than_the_model(choosing, tmp_path):
  choosing.model.max_positions = 30
  with pytest.raises(errors.InputError, match=r"max_positions is 30, but"):
    zsgen.run(choosing, tmp_path / "w", ["evaluate"])
  assert not (tmp_path / "w/evaluations").exists()


def test_ranges_of_evaluations_and_targets(choosing):
  choosing.evals.part.max_examples = 0
  with pytest.raises(errors.InputError, match="max_examples is 0; it must"):
    config_lib.check(choosing)
  choosing.evals.part.max_examples = 1
  choosing.targets = {"any": {"metric": "choosing/accuracy"}}
  with pytest.raises(errors.InputError, match=r"targets\.any has no bound"):
    config_lib.check(choosing)
  choosing.targets.any.above = 0.5
  assert config_lib.check(choosing).targets["any"].above == 0.5
