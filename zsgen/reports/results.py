"""Sections of a run's page: what it showed."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from zsgen.data import store as store_lib
from zsgen.reports import curves, figures, grids, measures, page, targets


def measured(run: curves.Run, result: Mapping[str, Any]) -> grids.Grid:
  """The closing table of a result (see `run_report.result`)."""
  rows = []
  for name, found in result["evals"].items():
    for label, values, improved in (
        (name, found["loss"], found["improved"]),
        (f"{name}, over tasks", found["task_mean_loss"], None),
    ):
      columns = ("first", "first_tenth", "mean", "final")
      rows.append(
          [
              label,
              *(grids.number(values[column]) for column in columns),
              grids.share(values["drop"]),
              grids.share(improved),
          ]
      )
  met = [each["met"] for each in result["targets"].values()]
  return grids.Grid(
      f"Held-out loss, {run.steps} steps",
      ("", "step 0", "first tenth", "mean", "final", "drop", "improved"),
      rows,
      note=f"Targets met: {sum(met)} of {len(met)}." if met else "",
  )


def heldout(run: curves.Run, result: Mapping[str, Any]) -> str:
  """Held-out curves and their measures."""
  panels = [
      figures.Panel(name, "step", "loss", _means(run, name))
      for name in run.config.evals
  ]
  return page.section(
      "Held-out loss",
      [
          page.figure(figures.plot([panels]), "Held-out loss against step"),
          grids.to_html(measured(run, result)._replace(title="")),
          page.text(
              "Step 0 is zero-shot. First tenth: mean over evaluations in the"
              " first tenth of the steps; mean: over all evaluations after"
              " step 0; drop: share of the zero-shot loss that is gone;"
              " improved: share of examples whose loss fell."
          ),
      ],
  )


def goals(run: curves.Run) -> str:
  """Targets of the config, and whether they were met."""
  rows = [
      [
          name,
          "met" if each.met else "not met",
          f"{each.metric}, {each.measure}",
          f"below {each.below:g}",
          each.note or grids.number(each.value),
      ]
      for name, each in targets.check(run).items()
  ]
  if not rows:
    return ""
  header = ("target", "", "of", "wanted", "found")
  grid = grids.Grid("", header, rows, words=3)
  return page.section("Targets", [grids.to_html(grid)])


def tasks(run: curves.Run, store: store_lib.Store) -> str:
  """Curves of every held-out task, largest drop first."""
  blocks = []
  for name, spec in run.config.evals.items():
    counts = np.bincount(
        store.task_index[store.split_ids(spec.split)],
        minlength=len(store.tasks),
    )
    found = _by_drop(run.tasks(name), run.steps)
    rows = [
        [
            task,
            str(counts[store.tasks.index(task)]),
            *(grids.number(values[each]) for each in ("first", "final")),
            grids.share(values["drop"]),
        ]
        for task, (_, values) in found.items()
    ]
    header = ("task", "examples", "step 0", "final", "drop")
    grid = grids.Grid("", header, rows)
    only = {task: curve for task, (curve, _) in found.items()}
    blocks += [
        page.heading(name),
        page.figure(figures.small_multiples(only), f"{name}, task by task"),
        page.folded("As a table", [grids.to_html(grid)]),
    ]
  note = "Each panel goes from 0 to the largest loss of its task."
  return page.section("Task by task", [page.text(note), *blocks])


def training(run: curves.Run) -> str:
  """The training loss, and where the time went."""
  panels = [
      figures.Panel(
          name,
          "step",
          "",
          [figures.line("run", run.metrics[metric])],
          height=2.6,
      )
      for name, metric in (
          ("loss of each step", "train/loss"),
          ("gradient norm", "train/grad_norm"),
      )
  ]
  return page.section(
      "Training",
      [
          page.figure(figures.plot([panels]), "Training loss against step"),
          page.text(_clock(run)),
      ],
  )


def _means(run: curves.Run, name: str) -> list[figures.Line]:
  """Means over examples and over tasks, told apart where they differ."""
  examples = run.metrics[f"{name}/loss"]
  by_task = run.metrics[f"{name}/task_mean_loss"]
  lines = [figures.line("mean over examples", examples)]
  # Tasks of one size have one mean.
  if not np.allclose(examples.values, by_task.values):
    lines.append(figures.line("mean over tasks", by_task))
  return lines


def _by_drop(
    found: Mapping[str, curves.Curve], steps: int
) -> dict[str, tuple[curves.Curve, dict[str, float | None]]]:
  """Curves and their measures, largest drop first; ties by name."""
  by_task = {
      task: (curve, measures.measure(curve, steps))
      for task, curve in found.items()
  }
  return dict(
      sorted(
          by_task.items(),
          key=lambda item: (-(item[1][1]["drop"] or 0), item[0]),
      )
  )


def _clock(run: curves.Run) -> str:
  """Speed, and the share of the time that evaluations took."""
  seconds = run.perf["perf/step_seconds"].values
  rate = np.median(run.perf["perf/tokens_per_second"].values)
  evaluating = sum(
      run.perf[f"perf/{name}_seconds"].values.sum() for name in run.config.evals
  )
  part = evaluating / (evaluating + seconds.sum())
  return (
      f"A step took {np.median(seconds):.3g} s, {rate:,.0f} tokens/s (medians);"
      f" evaluations took {part:.0%} of the time."
  )
