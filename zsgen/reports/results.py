"""Sections of a run's page: what it showed."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from zsgen.core import config
from zsgen.data import store as store_lib
from zsgen.reports import curves, figures, grids, measures, page, targets

# Metrics of the closing table, and what follows the evaluation's name.
_LABELS = {
    "loss": "",
    "task_mean_loss": ", over tasks",
    "accuracy": ", accuracy",
    "task_mean_accuracy": ", over tasks",
    "accuracy_sum": ", by sum",
    "rougeL": ", ROUGE-L",
    "task_mean_rougeL": ", over tasks",
    "rouge1": ", ROUGE-1",
    "exact_match": ", exact match",
    "normalized_match": ", normalised",
    "token_accuracy": ", tokens",
}
# Panels that are drawn of an evaluation's tasks, at the most.
_MOST_PANELS = 200

# What is drawn beside the means, by the kind of evaluation.
_BESIDE = {
    "accuracy": {"accuracy_sum": "mean over examples, by sum"},
    "exact_match": {"token_accuracy": "tokens of answers"},
    "rougeL": {
        "exact_match": "exact match",
        "normalized_match": "exact match, normalised",
    },
}


def measured(run: curves.Run, result: Mapping[str, Any]) -> grids.Grid:
  """The closing table of a result (see `run_report.result`)."""
  rows = []
  for name, found in result["evals"].items():
    losses = run.kind(name) == "loss"
    for metric, words in _LABELS.items():
      if metric not in found:
        continue
      values = found[metric]
      columns = ("first", "first_tenth", "mean", "final")
      rows.append(
          [
              f"{name}{words}",
              *(grids.number(values[column]) for column in columns),
              grids.share(values["drop"] if losses else None),
              grids.share(found["improved"] if metric == "loss" else None),
          ]
      )
  met = [each["met"] for each in result["targets"].values()]
  return grids.Grid(
      f"Held-out {_said(run)}, {run.steps} steps",
      ("", "step 0", "first tenth", "mean", "final", "drop", "improved"),
      rows,
      note=f"Targets met: {sum(met)} of {len(met)}." if met else "",
  )


def heldout(run: curves.Run, result: Mapping[str, Any]) -> str:
  """Held-out curves and their measures."""
  panels = [
      figures.Panel(name, "step", _word(run.kind(name)), _means(run, name))
      for name in run.config.evals
  ]
  title = f"Held-out {_said(run)}"
  return page.section(
      title,
      [
          page.figure(figures.plot([panels]), f"{title} against step"),
          grids.to_html(measured(run, result)._replace(title="")),
          page.text(
              "Step 0 is zero-shot. First tenth: mean over evaluations in the"
              " first tenth of the steps; mean: over all evaluations after"
              " step 0; drop: share of the zero-shot loss that is gone;"
              " improved: share of examples whose loss fell. Accuracy: how"
              " often the likeliest answer is right, by the mean over its"
              " tokens or by their sum."
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
          each.wanted,
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
  """Curves of every held-out task, what changed most for the good first."""
  blocks = []
  for name in run.config.evals:
    counts = _examples(run, store, name)
    losses = run.kind(name) == "loss"
    found = _by_gain(run.tasks(name), run.steps, losses)
    rows = [
        [
            task,
            str(counts[store.tasks.index(task)]),
            *(grids.number(values[each]) for each in ("first", "final")),
            grids.share(gain),
        ]
        for task, (_, values, gain) in found.items()
    ]
    header = ("task", "examples", "step 0", "final")
    grid = grids.Grid("", (*header, "drop" if losses else "gain"), rows)
    only = {task: curve for task, (curve, *_) in found.items()}
    blocks.append(page.heading(name))
    if not only:
      blocks.append(page.text("Its tasks are too many to be told one by one."))
      continue
    if len(only) <= _MOST_PANELS:
      drawn = figures.small_multiples(only)
      blocks.append(page.figure(drawn, f"{name}, task by task"))
    blocks.append(page.folded("As a table", [grids.to_html(grid)]))
  note = "Each panel goes from 0 to the largest value of its task."
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
  examples = run.metrics[run.headline(name)]
  by_task = run.metrics[f"{name}/task_mean_{run.kind(name)}"]
  lines = [figures.line("mean over examples", examples)]
  # Tasks of one size have one mean.
  if not np.allclose(examples.values, by_task.values):
    lines.append(figures.line("mean over tasks", by_task))
  for metric, words in _BESIDE.get(run.kind(name), {}).items():
    lines.append(figures.line(words, run.metrics[f"{name}/{metric}"]))
  return lines


def _said(run: curves.Run) -> str:
  """What was evaluated: "loss", "accuracy", "ROUGE-L" or several of them."""
  kinds = set(map(run.kind, run.config.evals))
  known = dict.fromkeys(config.HEADLINES.values())
  return " and ".join(_word(kind) for kind in known if kind in kinds)


def _word(kind: str) -> str:
  words = {"rougeL": "ROUGE-L", "exact_match": "exact match"}
  return words.get(kind, kind)


def _examples(run: curves.Run, store: store_lib.Store, name: str) -> np.ndarray:
  """Examples of each of the store's tasks in the evaluation `name`."""
  ids = run.evaluation(name).ids
  if run.kind(name) == "accuracy":
    found = store.choices(run.config.evals[name].split)
    ids = np.unique(found.examples[np.isin(found.rows, ids)])
  return np.bincount(store.task_index[ids], minlength=len(store.tasks))


def _by_gain(
    found: Mapping[str, curves.Curve], steps: int, losses: bool
) -> dict[str, tuple[curves.Curve, dict[str, float | None], float | None]]:
  """Curves, their measures and what was gained, the most first; ties by name.

  Of losses the share that is gone is gained, of accuracies the difference.
  """
  by_task = {}
  for task, curve in found.items():
    values = measures.measure(curve, steps)
    gain = values["drop"] if losses else values["final"] - values["first"]
    by_task[task] = curve, values, gain
  return dict(
      sorted(by_task.items(), key=lambda item: (-(item[1][2] or 0), item[0]))
  )


def _clock(run: curves.Run) -> str:
  """Speed, and the share of the time that evaluations took."""
  perf = run.perf
  if "perf/tokens_per_second" not in perf:
    return run.lost_clocks
  seconds = perf["perf/step_seconds"].values
  rate = np.median(perf["perf/tokens_per_second"].values)
  evaluating = sum(
      perf[metric].values.sum()
      for metric in (f"perf/{name}_seconds" for name in run.config.evals)
      if metric in perf
  )
  part = evaluating / (evaluating + seconds.sum())
  said = (
      f"A step took {np.median(seconds):.3g} s, {rate:,.0f} tokens/s (medians);"
      f" evaluations took {part:.0%} of the time."
  )
  return f"{said} {run.lost_clocks}".strip()
