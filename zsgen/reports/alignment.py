"""Aligns runs on the evaluation steps and the held-out examples they share."""

from collections.abc import Callable, Mapping, Sequence
import pathlib
from typing import NamedTuple

import numpy as np

from zsgen.data import store as store_lib
from zsgen.reports import curves

OpenStore = Callable[[pathlib.Path], store_lib.Store]
# Relative difference of a mean of float32 values from the one that was logged.
_ROUNDING = 1e-3


class Pair(NamedTuple):
  """A run and the reference's run of its seed, on what both evaluated.

  Attributes:
    curve: the run's headline.
    reference_curve: the reference's, at the same steps.
    evaluation: the value of every example.
    reference_evaluation: the reference's, of the same examples.
    steps: training steps of the shorter run.
  """

  curve: curves.Curve
  reference_curve: curves.Curve
  evaluation: curves.Evaluation
  reference_evaluation: curves.Evaluation
  steps: int

  @property
  def differences(self) -> curves.Curve:
    """Returns the run's headline minus the reference's."""
    values = self.curve.values - self.reference_curve.values
    return curves.Curve(self.curve.steps, values)


class Aligned(NamedTuple):
  """The result of aligning two runs.

  Attributes:
    pair: None if they cannot be compared.
    notes: what they do not share, sentences without the runs' names.
  """

  pair: Pair | None
  notes: Sequence[str] = ()


def align(
    run: curves.RunRecords,
    reference: curves.RunRecords,
    name: str,
    open_store: OpenStore,
) -> Aligned:
  """Aligns an evaluation of a run with that of the reference.

  Args:
    run: a run.
    reference: the run that it is compared with.
    name: the evaluation.
    open_store: opens a store; called only if the runs have several stores.

  Raises:
    InputError: records or a store are damaged.
  """
  if reason := _why_not(run, reference, name):
    return Aligned(None, [reason])
  sides = [
      _Side(member.metrics[member.headline(name)], member.headline_values(name))
      for member in (run, reference)
  ]
  rows = _shared_rows(run, reference, sides, open_store)
  notes = []
  if rows is not None:
    counts = [len(side.evaluation.ids) for side in sides]
    share = f"{len(rows[0]):,} held-out examples (of {_listing(counts)})"
    if not len(rows[0]) or not all(side.is_mean for side in sides):
      return Aligned(None, [f"they share {share} and are not compared."])
    notes.append(f"differences are over the {share} that both have.")
    pairs = zip(sides, rows, strict=True)
    sides = [side.with_rows(selected) for side, selected in pairs]
  first, second = sides
  steps = np.intersect1d(first.curve.steps, second.curve.steps)
  counts = [len(side.curve.steps) for side in sides]
  if not len(steps):
    return Aligned(None, [*notes, "they share no evaluation step."])
  if len(steps) < max(counts):
    share = f"{len(steps):,} evaluation steps (of {_listing(counts)})"
    notes.append(f"differences are at the {share} that both have.")
  first, second = (side.at_steps(steps) for side in sides)
  pair = Pair(
      first.curve,
      second.curve,
      first.evaluation,
      second.evaluation,
      min(run.steps, reference.steps),
  )
  return Aligned(pair, notes)


def _why_not(
    run: curves.RunRecords, reference: curves.RunRecords, name: str
) -> str:
  """Returns why an evaluation of two runs cannot be compared; "" if it can."""
  for member, owner in ((run, "it"), (reference, "the reference")):
    if name not in member.config.evaluations:
      return f"{owner} has no such evaluation."
    if member.headline(name) not in member.metrics:
      return f"{owner} has not been evaluated."
  metric, expected = (
      member.declaration(name).headline for member in (run, reference)
  )
  if (metric.name, metric.unit) == (expected.name, expected.unit):
    return ""
  return (
      f"it measures {metric.heading}, and the reference {expected.heading}:"
      " they are not compared."
  )


def is_mean(curve: curves.Curve, evaluation: curves.Evaluation) -> bool:
  """Returns whether a curve is the mean over the values of the examples."""
  curve = _select_steps(curve, evaluation.steps)
  if len(curve.steps) < len(evaluation.steps):
    return False
  means = evaluation.losses.mean(axis=1, dtype=np.float64)
  return bool(np.allclose(means, curve.values, rtol=_ROUNDING, atol=1e-6))


def share_steps(by_seed: Mapping[int, curves.Curve]) -> list[curves.Curve]:
  """Returns curves at the steps that all of them have; [] if there is none."""
  steps = None
  for curve in by_seed.values():
    steps = curve.steps if steps is None else np.intersect1d(steps, curve.steps)
  if steps is None or not len(steps):
    return []
  return [_select_steps(curve, steps) for curve in by_seed.values()]


class _Side(NamedTuple):
  """One of two runs that are aligned."""

  curve: curves.Curve
  evaluation: curves.Evaluation

  @property
  def is_mean(self) -> bool:
    """Whether the headline is the mean over the values of the examples."""
    return is_mean(self.curve, self.evaluation)

  def with_rows(self, rows: np.ndarray) -> "_Side":
    """Returns the evaluation of some rows, and the curve of their mean."""
    steps, ids, losses = self.evaluation
    losses = losses[:, rows]
    means = losses.mean(axis=1, dtype=np.float64)
    evaluation = curves.Evaluation(steps, ids[rows], losses)
    return _Side(curves.Curve(steps, means), evaluation)

  def at_steps(self, steps: np.ndarray) -> "_Side":
    """Returns both at some steps."""
    is_selected = np.isin(self.evaluation.steps, steps)
    evaluation = curves.Evaluation(
        self.evaluation.steps[is_selected],
        self.evaluation.ids,
        self.evaluation.losses[is_selected],
    )
    return _Side(_select_steps(self.curve, steps), evaluation)


def _select_steps(curve: curves.Curve, steps: np.ndarray) -> curves.Curve:
  """Returns the part of a curve at some steps."""
  is_selected = np.isin(curve.steps, steps)
  return curves.Curve(curve.steps[is_selected], curve.values[is_selected])


def _shared_rows(
    run: curves.RunRecords,
    reference: curves.RunRecords,
    sides: Sequence[_Side],
    open_store: OpenStore,
) -> tuple[np.ndarray, np.ndarray] | None:
  """Returns the positions of the rows that both have, in one sequence.

  Rows of one store have its ids; those of other stores are the same if task,
  prompt and answer are.

  Returns:
    int64 [n] for each run; None if all rows are shared, in the same sequence.
  """
  ids, reference_ids = (side.evaluation.ids for side in sides)
  if run.store == reference.store:
    keys, reference_keys = ids.tolist(), reference_ids.tolist()
  else:
    keys = _keys(open_store(run.store), ids)
    reference_keys = _keys(open_store(reference.store), reference_ids)
  if keys == reference_keys:
    return None
  positions = {key: row for row, key in enumerate(reference_keys)}
  shared = [(row, key) for row, key in enumerate(keys) if key in positions]
  rows = np.array([row for row, _ in shared], np.int64)
  return rows, np.array([positions[key] for _, key in shared], np.int64)


def _keys(store: store_lib.Store, ids: np.ndarray) -> list:
  """Returns task, prompt and answer of rows, and which of equals they are."""
  counts: dict[tuple[str, str, str], int] = {}
  keys = []
  for i, (prompt, answer) in zip(ids, store.texts(ids), strict=True):
    content = store.tasks[store.task_index[i]], prompt, answer
    counts[content] = counts.get(content, 0) + 1
    keys.append((*content, counts[content]))
  return keys


def _listing(counts: Sequence[int]) -> str:
  return " and ".join(f"{count:,}" for count in counts)
