"""How sure the means of an evaluation are, and what they are without a model.

The interval of a mean is over the examples that were held out: another draw of
them would give another mean. How far another seed of training would change it
is what `comparison` shows.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from zsgen import evals
from zsgen.reports import curves, grids, measures

_INTERVALS = pa.schema(
    {
        "evaluation": pa.string(),
        "metric": pa.string(),
        "unit": pa.string(),
        "step": pa.int64(),
        "value": pa.float64(),
        "low": pa.float64(),
        "high": pa.float64(),
        "chance": pa.float64(),
        "majority": pa.float64(),
    }
)


def describe(run: curves.RunRecords, name: str) -> dict[str, dict[str, Any]]:
  """Returns how sure the last means of an evaluation are, as JSON values.

  Args:
    run: what was recorded; with one evaluation at least.
    name: the evaluation.

  Returns:
    By metric, if its examples have values: the 95% `interval` of its mean over
    examples, by bootstrap. For accuracies also `majority` and, if there are
    answers to choose from, `chance`; see `api.Baseline`.
  """
  steps = run.evaluation(name).steps
  last = _values(run, name, steps[-1:])
  described: dict[str, dict[str, Any]] = {}
  if last:  # One bootstrap for all metrics of the same examples.
    bounds = measures.intervals(np.concatenate([*last.values()]))
    for metric, low, high in zip(last, *bounds, strict=True):
      described[metric] = {"interval": [float(low), float(high)]}
  for metric, baseline in _baselines(run, name).items():
    known = {
        word: value
        for word, value in baseline._asdict().items()
        if value is not None
    }
    described[metric] = {**described.get(metric, {}), **known}
  return described


def table(run: curves.RunRecords) -> pa.Table:
  """Returns the means of all evaluations at all steps, with their intervals.

  Returns:
    The table that `run_tables.Run.intervals` describes.
  """
  parts = [_INTERVALS.empty_table()]
  for name in run.config.evaluations:
    steps = run.evaluation(name).steps
    if not len(steps):
      continue
    baselines = _baselines(run, name)
    for metric, values in _values(run, name, steps).items():
      low, high = measures.intervals(values)
      baseline = baselines.get(metric)
      declared = run.declaration(name).metric(metric)
      count = len(steps)
      columns = {
          "evaluation": [name] * count,
          "metric": [metric] * count,
          "unit": [declared.unit if declared else ""] * count,
          "step": steps,
          "value": values.mean(axis=1),
          "low": low,
          "high": high,
          "chance": [baseline.chance if baseline else None] * count,
          "majority": [baseline.majority if baseline else None] * count,
      }
      parts.append(pa.table(columns, schema=_INTERVALS))
  return pa.concat_tables(parts).combine_chunks()


def grid(
    run: curves.RunRecords,
    described: Mapping[str, Mapping[str, Mapping[str, Any]]],
    values: Mapping[str, float],
) -> grids.Grid:
  """Builds the table of final means with intervals and baselines.

  Args:
    run: what declares the metrics.
    described: by evaluation, what `describe` returned.
    values: the mean of each metric, by its path.
  """
  rows = [
      [
          f"{name} {metric.words}",
          metric.unit_sign,
          grids.number(values.get(f"{name}/{metric.name}")),
          _interval(known.get("interval")),
          grids.number(known.get("chance")),
          grids.number(known.get("majority")),
      ]
      for name, by_metric in described.items()
      for metric in run.declaration(name).metrics
      if (known := by_metric.get(metric.name))
  ]
  header = ("", "unit", "final", "95% interval", "chance", "majority")
  has_baselines = any(
      "majority" in known
      for by_metric in described.values()
      for known in by_metric.values()
  )
  note = "Intervals are by bootstrap over the examples that were held out."
  if has_baselines:
    note += (
        " Chance: a guess among the answers to choose from; majority: the answer"
        " that is right most often in its task, for all of its examples."
    )
  width = len(header) if has_baselines else len(header) - 2
  return grids.Grid(
      "Intervals and baselines" if has_baselines else "Intervals",
      header[:width],
      [row[:width] for row in rows],
      words=2,
      note=note,
  )


def _interval(bounds: Sequence[float] | None) -> str:
  """Formats an interval: [0.123, 0.456]."""
  if bounds is None:
    return grids.MISSING
  low, high = bounds
  return f"[{grids.number(low)}, {grids.number(high)}]"


def _values(
    run: curves.RunRecords, name: str, steps: np.ndarray
) -> dict[str, np.ndarray]:
  """Returns the values of each example at some steps, by metric, [n, E].

  Of written answers, metrics besides the headline are in the files of answers.
  """
  is_selected = np.isin(run.evaluation(name).steps, steps)
  by_metric = {
      metric: values[is_selected]
      for metric, values in run.values(name).by_metric.items()
  }
  scores = [run.scores(name, int(step)) for step in steps]
  if scores and all(scores):
    return {
        metric: np.array([scored[metric] for scored in scores])
        for metric in scores[0]
    }
  # An example without a value has no interval.
  return {
      metric: values
      for metric, values in by_metric.items()
      if values.size and np.isfinite(values).all()
  }


def _baselines(run: curves.RunRecords, name: str) -> dict[str, Any]:
  """Returns the accuracies of an evaluation without a model, by metric."""
  ids = run.evaluation(name).ids
  spec = run.config.evaluations[name]
  return evals.baselines(spec, ids, run.open_store)
