"""Sections of a run's page: what it showed."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from zsgen.data import store as store_lib
from zsgen.evals import api
from zsgen.evals import metrics as eval_metrics
from zsgen.reports import certainty, curves, grids, measures, page, targets
from zsgen.train import lineage, metrics

# Measures of the closing table.
_COLUMNS = ("first", "first_tenth", "mean", "final")
_COLUMNS_NOTE = (
    "First tenth: mean over evaluations in the first tenth of the steps; mean:"
    " over all evaluations after step 0; drop: share of the value at step 0 that"
    " is gone; improved: share of examples whose own value fell. Shares are from"
    " 0 to 1."
)


def measured(run: curves.RunRecords, result: Mapping[str, Any]) -> grids.Grid:
  """Builds the closing table of a result (see `run_report.result`)."""
  rows = [
      [
          f"{name}{words}",
          metric.unit_sign,
          *(grids.number(values[column]) for column in _COLUMNS),
          grids.number(values.get("drop")),
          grids.number(measures_by_name.get("improved") if i == 0 else None),
      ]
      for name, measures_by_name in result["evals"].items()
      for i, (metric, mean, words) in enumerate(
          _shown_means(run.declaration(name))
      )
      for values in [measures_by_name[mean]]
  ]
  passed = [outcome["met"] for outcome in result["targets"].values()]
  met = f" Targets met: {sum(passed)} of {len(passed)}." if passed else ""
  header = ("", "unit", "step 0", "first tenth", "mean", "final")
  return grids.Grid(
      f"Held-out {_headlines(run)}, {run.steps} steps",
      (*header, "drop", "improved"),
      rows,
      words=2,
      note=f"{_COLUMNS_NOTE}{met}",
  )


def certain(run: curves.RunRecords, result: Mapping[str, Any]) -> grids.Grid:
  """Builds the table of intervals and baselines of a result."""
  values = {
      f"{name}/{mean}": measured["final"]
      for name, by_name in result["evals"].items()
      for mean, measured in by_name.items()
      if isinstance(measured, Mapping)
  }
  described = {
      name: {
          mean: measured
          for mean, measured in by_name.items()
          if isinstance(measured, Mapping)
          and {"interval", "majority"} & measured.keys()
      }
      for name, by_name in result["evals"].items()
  }
  return certainty.grid(run, described, values)


def _shown_means(
    declared: api.Declaration,
) -> Iterator[tuple[api.Metric, str, str]]:
  """Yields the means of the closing table.

  Yields:
    A metric, the name of a mean of it, and what follows the evaluation's name.
    Means over tasks are of the headline only.
  """
  for metric in declared.metrics:
    yield metric, metric.name, f" {metric.words}"
    if metric is declared.headline:
      _, over_tasks = metric.names
      yield metric, over_tasks, " over tasks"


def heldout(run: curves.RunRecords, result: Mapping[str, Any]) -> str:
  """Builds the section of held-out curves, of tasks too, and their measures."""
  return page.section(
      f"Held-out {_headlines(run)}",
      [
          page.slot("heldout"),
          grids.to_html(measured(run, result)._replace(title="")),
          page.text("Step 0 is zero-shot."),
          grids.to_html(certain(run, result)),
          *([page.text(_lineage(run.fork))] if run.fork else []),
      ],
  )


def _lineage(fork: lineage.Fork) -> str:
  """Returns a sentence on the parent of a fork."""
  return (
      f"This run was forked from {fork.run.name} at step {fork.step}: all values"
      " before that step, and those measures that cover it, are its parent's"
      " too."
  )


def goals(run: curves.RunRecords) -> str:
  """Builds the section of the config's targets, met or not."""
  rows = [
      [
          name,
          "met" if outcome.met else "not met",
          f"{outcome.metric}, {outcome.measure}{_unit(run, outcome.metric)}",
          outcome.bounds,
          outcome.note or grids.number(outcome.value),
      ]
      for name, outcome in targets.check(run).items()
  ]
  if not rows:
    return ""
  header = ("target", "result", "metric", "bounds", "value")
  grid = grids.Grid("", header, rows, words=3)
  return page.section("Targets", [grids.to_html(grid)])


def tasks(run: curves.RunRecords, store: store_lib.Store) -> str:
  """Builds the section of each task's curves, the largest gain first."""
  blocks = []
  for name in _evaluations_with(run, "tasks"):
    headline = run.declaration(name).headline
    falls = headline.better == metrics.LOWER
    counts = examples_by_task(run, store, name)
    ranked = _by_gain(run.tasks(name), run.steps, falls)
    rows = [
        [
            task,
            str(counts[store.tasks.index(task)]),
            *(grids.number(values[measure]) for measure in ("first", "final")),
            grids.number(gain),
        ]
        for task, (_, values, gain) in ranked.items()
    ]
    step_0, final = map(headline.with_unit, ("step 0", "final"))
    gained = "drop (share)" if falls else headline.with_unit("gain")
    header = ("task", "examples", step_0, final, gained)
    grid = grids.Grid("", header, rows)
    if rows:
      blocks.append(page.folded(f"{name}: every task", [grids.to_html(grid)]))
    else:
      blocks.append(
          page.text(f"{name} has too many tasks to show each of them.")
      )
  return page.section("Task by task", blocks) if blocks else ""


def training(run: curves.RunRecords) -> str:
  """Builds the section of the training loss and of the time spent."""
  return page.section(
      "Training", [page.slot("training"), page.text(_clock(run))]
  )


def _headlines(run: curves.RunRecords) -> str:
  """What was evaluated: "loss", "accuracy" or several of them."""
  return " and ".join(
      dict.fromkeys(
          run.declaration(name).headline.words
          for name in run.config.evaluations
      )
  )


def _unit(run: curves.RunRecords, path: str) -> str:
  """The unit of a metric in parentheses, after a space; "" if it has none."""
  metric = eval_metrics.find(run.config.evaluations, path)
  return metric.with_unit("") if metric else ""


def _evaluations_with(run: curves.RunRecords, figure: str) -> list[str]:
  """The evaluations whose evaluator wants a figure."""
  return [
      name
      for name in run.config.evaluations
      if figure in run.declaration(name).figures
  ]


def examples_by_task(
    run: curves.RunRecords, store: store_lib.Store, name: str
) -> np.ndarray:
  """Returns the examples of each of the store's tasks in the evaluation `name`."""
  ids = run.evaluation(name).ids
  if run.declaration(name).rows == api.CHOICES:
    candidates = store.choices(run.config.evaluations[name].split)
    ids = np.unique(candidates.examples[np.isin(candidates.rows, ids)])
  return np.bincount(store.task_index[ids], minlength=len(store.tasks))


def _by_gain(
    curves_by_task: Mapping[str, curves.Curve], steps: int, falls: bool
) -> dict[str, tuple[curves.Curve, dict[str, float | None], float | None]]:
  """Curves, their measures and what was gained, the most first; ties by name.

  The gain is the share that is gone if lower is better, otherwise the
  difference.
  """
  by_task = {}
  for task, curve in curves_by_task.items():
    values = measures.measure(curve, steps)
    gain = (
        values["drop"]
        if falls
        else measures.difference(values["final"], values["first"])
    )
    by_task[task] = curve, values, gain
  return dict(
      sorted(by_task.items(), key=lambda item: (-(item[1][2] or 0), item[0]))
  )


def _clock(run: curves.RunRecords) -> str:
  """Speed, and the share of the time that evaluations took."""
  perf = run.perf
  if "perf/tokens_per_second" not in perf:
    return run.lost_clocks
  seconds = perf["perf/step_seconds"].values
  rate = np.median(perf["perf/tokens_per_second"].values)
  evaluating = sum(
      perf[metric].values.sum()
      for metric in (f"perf/{name}_seconds" for name in run.config.evaluations)
      if metric in perf
  )
  part = evaluating / (evaluating + seconds.sum())
  line = (
      f"A step took {np.median(seconds):.3g} s, {rate:,.0f} tokens/s (medians);"
      f" evaluations took {part:.0%} of the time of steps and evaluations."
  )
  return f"{line} {run.lost_clocks}".strip()
