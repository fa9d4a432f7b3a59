"""Runs are compared on the steps and the examples that they share."""

import dataclasses

import numpy as np
import pytest

from zsgen.data import store as store_lib
from zsgen.reports import alignment, curves


def _align(run, reference):
  return alignment.align(run, reference, "heldout", store_lib.open_store)


def _keep(run, steps=None, rows=None):
  """Returns a run that evaluated only some steps, or only some examples."""
  evaluation = run.evaluation("heldout")
  steps = evaluation.steps if steps is None else np.array(steps)
  rows = np.arange(len(evaluation.ids)) if rows is None else np.array(rows)
  losses = evaluation.losses[np.isin(evaluation.steps, steps)][:, rows]
  curve = curves.Curve(steps, losses.mean(axis=1, dtype=np.float64))
  part = dataclasses.replace(run)
  part.__dict__["metrics"] = {**run.metrics, "heldout/loss": curve}
  part.__dict__["evaluation"] = lambda name: curves.Evaluation(
      steps, evaluation.ids[rows], losses
  )
  return part


@pytest.fixture
def run(write_run):
  """Returns a run whose losses differ at every step and for every example."""
  return write_run(lambda step, index: 9 - step / 4 + index / 8)


def test_runs_that_share_everything_are_as_they_are(run):
  pair, notes = _align(run, run)
  assert not notes
  assert (
      pair.curve.values.tolist() == run.metrics["heldout/loss"].values.tolist()
  )
  assert not pair.differences.values.any() and pair.steps == 10


def test_shared_steps(run):
  other = _keep(run, steps=[0, 4, 8, 10])
  pair, notes = _align(_keep(run, steps=[0, 1, 4, 10]), other)
  assert pair.differences.steps.tolist() == [0, 4, 10]
  assert pair.evaluation.losses.shape == pair.reference_evaluation.losses.shape
  assert notes == [
      "differences are at the 3 evaluation steps (of 4 and 4) that both have."
  ]
  assert _align(_keep(run, [1, 3]), _keep(run, [2, 4])).pair is None


def test_shared_examples(run):
  reference = _keep(run, rows=[2, 1, 4])
  pair, notes = _align(_keep(run, rows=[0, 1, 2]), reference)
  ids = run.evaluation("heldout").ids
  assert pair.evaluation.ids.tolist() == [ids[1], ids[2]]
  assert pair.reference_evaluation.ids.tolist() == [ids[1], ids[2]]
  assert not pair.differences.values.any()
  assert pair.curve.values[0] == pytest.approx(9 + 1.5 / 8)
  assert notes == [
      "differences are over the 2 held-out examples (of 3 and 3) that both have."
  ]
  missing, notes = _align(_keep(run, rows=[0]), _keep(run, rows=[1]))
  assert missing is None and "0 held-out examples" in notes[0]


def test_examples_of_several_stores_are_the_same_by_their_texts(write_run):
  first = write_run(name="first")
  second = write_run(name="second", max_length=1024)
  assert first.store != second.store
  pair, notes = _align(first, second)
  assert not notes and not pair.differences.values.any()
  opened = [store_lib.open_store(run.store) for run in (first, second)]
  shared = [
      store.texts(ids)
      for store, ids in zip(
          opened,
          (pair.evaluation.ids, pair.reference_evaluation.ids),
          strict=True,
      )
  ]
  assert shared[0] == shared[1]


def test_a_metric_that_is_no_mean_of_its_rows_is_not_averaged(run):
  curve = curves.Curve(np.arange(11), np.full(11, 0.5))
  part = _keep(run, rows=[0, 1])
  part.__dict__["metrics"] = {"heldout/loss": curve}
  aligned = _align(part, run)
  assert aligned.pair is None and "are not compared" in aligned.notes[0]


def test_what_was_not_evaluated_is_said(run):
  part = dataclasses.replace(run)
  part.__dict__["metrics"] = {}
  assert _align(part, run).notes == ["it has not been evaluated."]
  assert _align(run, part).notes == ["the reference has not been evaluated."]
  absent = alignment.align(run, run, "absent", store_lib.open_store)
  assert absent.notes == ["it has no such evaluation."]


def test_seeds_share_steps():
  steps = [np.array([0, 2, 4]), np.array([0, 4, 6])]
  by_seed = {
      seed: curves.Curve(at, at.astype(float)) for seed, at in enumerate(steps)
  }
  assert [c.steps.tolist() for c in alignment.share_steps(by_seed)] == [
      [0, 4]
  ] * 2
  assert alignment.share_steps({}) == []
