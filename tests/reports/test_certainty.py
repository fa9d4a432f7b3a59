"""Intervals and baselines of the evaluations of a run."""

import numpy as np
import pytest

import zsgen
from zsgen import evals
from zsgen.core import errors
from zsgen.reports import certainty, curves, measures


def test_intervals_at_every_step(write_run):
  run = write_run(lambda step, index: 9 - step / 4 + index / 8)
  table = zsgen.load_run(run.path).intervals.to_pydict()
  evaluation = run.evaluation("heldout")
  assert table["step"] == evaluation.steps.tolist()
  np.testing.assert_allclose(
      table["value"], evaluation.losses.mean(axis=1), rtol=1e-6
  )
  assert {*table["metric"]} == {"loss"} and {*table["unit"]} == {"nats"}
  assert {*table["chance"], *table["majority"]} == {None}
  values = evaluation.losses[-1].astype(np.float64)
  low, high = measures.over_examples(values)
  assert (table["low"][-1], table["high"][-1]) == pytest.approx((low, high))
  assert low < values.mean() < high
  described = certainty.describe(run, "heldout")
  assert described == {"loss": {"interval": [low, high]}}


def test_the_table_of_intervals(write_run):
  run = write_run()
  described = {"heldout": {"loss": {"interval": [0.5, 1.5], "majority": 0.25}}}
  grid = certainty.grid(run, described, {"heldout/loss": 1.0})
  (row,) = grid.rows
  assert row == [
      "heldout loss",
      "nats",
      "1.000",
      "[0.500, 1.500]",
      "\N{EN DASH}",
      "0.250",
  ]
  del described["heldout"]["loss"]["majority"]
  grid = certainty.grid(run, described, {"heldout/loss": 1.0})
  assert grid.header[-1] == "95% interval" and len(grid.rows[0]) == 4


def test_values_of_an_older_version_are_not_read(write_run, monkeypatch):
  run = write_run()
  declared = run.declaration("heldout")
  newer = type(declared)(declared.headline, version=1)
  monkeypatch.setattr(evals, "declaration", lambda spec: newer)
  manifest = {"made_by": {"evals": {"heldout": {"type": "loss"}}}}
  with pytest.raises(errors.InputError, match="have another unit or meaning"):
    curves.check_versions(run.path, manifest, run.config)
  manifest["made_by"]["evals"]["heldout"]["version"] = 1
  curves.check_versions(run.path, manifest, run.config)
