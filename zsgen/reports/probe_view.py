"""The section of a run's page on its probe: what it memorised and forgot."""

from typing import NamedTuple

import numpy as np

from zsgen.reports import curves, example_table, figures, grids, page

_CAPTION = (
    "Mean loss of the probe, a fixed sample of training examples, by whether"
    " they had been trained on"
)
_NOTE = (
    "Memorised: the loss right before the step that first trains on an example"
    " minus that right after it. Forgotten: the last loss minus the latter."
    " Means over the examples for which both were evaluated."
)


class Memory(NamedTuple):
  """What a run made of the examples of its probe.

  Attributes:
    memorised: by how much the step that first trains on an example lowers its
      loss, float64 [k], in nats; of the k examples evaluated on both sides.
    forgotten: by how much the loss of the same examples rises from right after
      that step to the last evaluation, float64 [k].
    consumed: examples that were trained on.
    examples: all examples.
  """

  memorised: np.ndarray
  forgotten: np.ndarray
  consumed: int
  examples: int


def measure(run: curves.RunRecords) -> Memory:
  """Measures the examples around the step that first trains on them.

  Raises:
    InputError: the run has no probe, or a file is damaged.
  """
  evaluation = run.probe()
  counts = example_table.count_consumed(run.consumed(), evaluation)
  steps = evaluation.steps
  losses = evaluation.losses.astype(np.float64)
  memorised, forgotten, trained = [], [], 0
  for column in range(losses.shape[1]):
    after = np.flatnonzero(counts[:, column])
    trained += len(after) > 0
    if len(after) and after[0] and steps[after[0]] == steps[after[0] - 1] + 1:
      row = after[0]
      memorised.append(losses[row - 1, column] - losses[row, column])
      forgotten.append(losses[-1, column] - losses[row, column])
  return Memory(
      np.array(memorised), np.array(forgotten), trained, losses.shape[1]
  )


def lines(run: curves.RunRecords) -> list[figures.Line]:
  """Returns the mean losses of examples before and after they are trained on.

  Raises:
    InputError: the run has no probe, or a file is damaged.
  """
  evaluation = run.probe()
  counts = example_table.count_consumed(run.consumed(), evaluation)
  drawn = []
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
      drawn.append(figures.line(label, curve))
  return drawn


def section(run: curves.RunRecords) -> str:
  """Returns the section on the probe; "" if the run has none."""
  if not run.config.probe.examples:
    return ""
  memory = measure(run)
  panel = figures.Panel("probe", "step", "loss (nats)", lines(run))
  rows = [
      [
          str(memory.examples),
          str(memory.consumed),
          str(len(memory.memorised)),
          *(
              grids.number(float(values.mean()) if len(values) else None)
              for values in (memory.memorised, memory.forgotten)
          ),
      ]
  ]
  header = (
      "examples",
      "trained on",
      "evaluated on both sides",
      "memorised (nats)",
      "forgotten (nats)",
  )
  return page.section(
      "The probe",
      [
          page.figure(figures.plot([[panel]]), _CAPTION),
          grids.to_html(grids.Grid("", header, rows)),
          page.text(_NOTE),
      ],
  )
