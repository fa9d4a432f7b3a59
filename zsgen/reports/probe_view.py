"""The section of a run's page on its probe: what it memorised and forgot."""

from typing import NamedTuple

import numpy as np

from zsgen.reports import curves, example_table, figures, grids, page

_CAPTION = (
    "Left: mean loss of the probe, a fixed sample of training examples, by"
    " whether they had been trained on. Right: how the loss of an example differs"
    " from that right before the step that first trains on it, which is step 0"
)
_NOTE = (
    "Memorised: the loss right before the step that first trains on an example"
    " minus that right after it. Forgotten: the last loss minus the latter."
    " Means over the examples that were evaluated on both sides."
)
# Bins of steps before and after an example is trained on, of a run.
_BINS = 20


class Memory(NamedTuple):
  """What a run made of the examples of its probe.

  Attributes:
    memorised: by how much the step that first trains on an example lowers its
      loss, float64 [k], in nats; of the k examples evaluated on both sides.
    forgotten: by how much the loss of the same examples rises from right after
      that step to the last evaluation, float64 [k].
    trained_on: number of examples that were trained on.
    examples: number of examples.
  """

  memorised: np.ndarray
  forgotten: np.ndarray
  trained_on: int
  examples: int


def measure(run: curves.RunRecords) -> Memory:
  """Measures the examples around the step that first trains on them.

  Raises:
    InputError: the run has no probe, or a file is damaged.
  """
  evaluation, counts = _read(run)
  losses = evaluation.losses.astype(np.float64)
  rows = _rows_after(evaluation, counts)
  columns = np.flatnonzero(rows)
  before, after = (losses[rows[columns] - k, columns] for k in (1, 0))
  return Memory(
      before - after,
      losses[-1, columns] - after,
      int(np.count_nonzero(counts[-1])) if len(counts) else 0,
      losses.shape[1],
  )


def align(run: curves.RunRecords) -> curves.Curve:
  """Returns the mean change of losses against steps since they are trained on.

  The change is relative to the loss right before the step that first trains on
  an example. Values are means over examples and evaluations in bins of a
  twentieth of the run, whose middles are the steps; those right after that step
  have a bin of their own.

  Raises:
    InputError: the run has no probe, or a file is damaged.
  """
  evaluation, counts = _read(run)
  rows = _rows_after(evaluation, counts)
  columns = np.flatnonzero(rows)
  losses = evaluation.losses[:, columns].astype(np.float64)
  first = rows[columns] - 1
  since = evaluation.steps[:, None] - evaluation.steps[first]
  change = losses - losses[first, np.arange(len(columns))]
  width = max(run.steps // _BINS, 2)
  middle = (np.floor_divide(since, width) + 0.5) * width
  middle = np.where((since == 0) | (since == 1), since, middle)
  steps, bins = np.unique(middle, return_inverse=True)
  sums = np.bincount(bins.ravel(), weights=change.ravel())
  return curves.Curve(steps, sums / np.bincount(bins.ravel()))


def section(run: curves.RunRecords) -> str:
  """Returns the section on the probe; "" if the run has none."""
  if not run.config.probe.examples:
    return ""
  memory = measure(run)
  panels = [figures.Panel("probe", "step", "loss (nats)", _means(run))]
  if len(memory.memorised):
    line = figures.line("mean", align(run))
    title = "since it is trained on"
    panels.append(
        figures.Panel(title, "steps", "difference (nats)", [line], zero=True)
    )
  values = [
      grids.number(float(part.mean()) if len(part) else None)
      for part in (memory.memorised, memory.forgotten)
  ]
  counts = (memory.examples, memory.trained_on, len(memory.memorised))
  header = (
      "examples",
      "trained on",
      "evaluated on both sides",
      "memorised (nats)",
      "forgotten (nats)",
  )
  grid = grids.Grid("", header, [[*map(str, counts), *values]])
  return page.section(
      "The probe",
      [
          page.figure(figures.plot([panels]), _CAPTION),
          grids.to_html(grid),
          page.text(_NOTE),
      ],
  )


def _read(run: curves.RunRecords) -> tuple[curves.Evaluation, np.ndarray]:
  """Returns the losses [n, E], and how often examples were trained on before."""
  evaluation = run.probe()
  counts = example_table.count_consumed(run.consumed(), evaluation)
  return evaluation, counts


def _rows_after(
    evaluation: curves.Evaluation, counts: np.ndarray
) -> np.ndarray:
  """Returns the evaluation right after each example is first trained on.

  Returns:
    Rows of the evaluations, int64 [E]; 0 if there is none, or no evaluation
    right before that step.
  """
  if not len(counts):
    return np.zeros(len(evaluation.ids), np.int64)
  rows = (counts > 0).argmax(axis=0)
  is_after = evaluation.steps[rows] == evaluation.steps[rows - 1] + 1
  return np.where(is_after, rows, 0)


def _means(run: curves.RunRecords) -> list[figures.Line]:
  """Returns the mean losses of examples before and after they are trained on."""
  evaluation, counts = _read(run)
  means = []
  for label, is_in in (
      ("trained on", counts > 0),
      ("not trained on yet", counts == 0),
  ):
    rows = np.flatnonzero(is_in.any(axis=1))
    values = [
        evaluation.losses[row][is_in[row]].mean(dtype=np.float64)
        for row in rows
    ]
    if len(rows):
      curve = curves.Curve(evaluation.steps[rows], np.array(values))
      means.append(figures.line(label, curve))
  return means
