"""Figures for papers: PNG and SVG, for a column of text (`--figures=DIR`).

Colours can be distinguished by colour-blind readers, and lines also by dashes
and, if there are more than seven, by markers.
"""

from collections.abc import Iterator, Mapping
import pathlib
import re

from matplotlib import figure as figure_lib

from zsgen.data import store as store_lib
from zsgen.reports import (
    alignment,
    comparison_report,
    curves,
    figures,
    order_view,
    page,
    trace_view,
)
from zsgen.reports import comparison as comparison_lib
from zsgen.train import metrics

# Inches and points of the text, and dots per inch of a PNG.
_WIDTH, _HEIGHT, _FONT, _DPI = 3.35, 2.4, 8.0, 300
# Letters of the reference's label, at the most, next to an axis.
_LETTERS = 12
# Panels of tasks in a figure, at the most.
_MOST_PANELS = 200


def write(
    comparison: comparison_lib.Comparison, directory: pathlib.Path
) -> list[pathlib.Path]:
  """Writes every figure of runs as NAME.png and NAME.svg.

  Args:
    comparison: runs; a single one is drawn alone.
    directory: of the files; created if absent.

  Returns:
    The files.

  Raises:
    InputError: a run is damaged.
  """
  directory.mkdir(parents=True, exist_ok=True)
  paths = []
  with figures.font(_FONT):
    for name, figure in _figures(comparison):
      stem = directory / re.sub(r"[^\w.@-]+", "-", name)
      for suffix, content in (
          (".png", figures.png(figure, _DPI)),
          (".svg", figures.svg(figure)),
      ):
        path = stem.with_name(f"{stem.name}{suffix}")
        paths.append(page.save(path, content))
  return paths


def _figures(
    comparison: comparison_lib.Comparison,
) -> Iterator[tuple[str, figure_lib.Figure]]:
  """Yields each figure with its name."""
  inked = comparison.reference if len(comparison.runs) > 1 else ""
  for name in comparison.evals:
    panels = {
        f"heldout-{name}": _values(comparison, name),
        f"differences-{name}": _differences(comparison, name),
        **_other_metrics(comparison, name),
    }
    for title, panel in panels.items():
      if panel.lines:
        yield title, _draw(panel, inked)
    if tasks := _tasks(comparison, name):
      yield f"tasks-{name}", figures.draw_small(tasks)
  for metric in metrics.TRAINING:
    if metric.has_figure:
      by_label = _by_label(comparison, f"train/{metric.name}")
      yield f"train-{metric.name}", _draw(
          _panel(metric.heading, by_label), inked
      )
  for title, by_label in _order_curves(comparison).items():
    yield f"order-{title}", _draw(_panel(title, by_label), inked)


def _draw(panel: figures.Panel, inked: str) -> figure_lib.Figure:
  panel = panel._replace(xlabel="step", height=_HEIGHT)
  return figures.draw([[panel]], inked, width=_WIDTH)


def _panel(
    title: str, by_label: Mapping[str, list[curves.Curve]]
) -> figures.Panel:
  """Returns a panel of curves by their labels, a curve a seed."""
  lines = [
      figures.line(label, *members)
      for label, members in by_label.items()
      if members
  ]
  return figures.Panel("", "step", title, lines)


def _values(comparison: comparison_lib.Comparison, name: str) -> figures.Panel:
  """Returns the headline of an evaluation.

  Of runs of one label, the panel has the other metrics with a figure too.
  """
  panel = comparison_report.values_panel(comparison, name)
  runs, *rest = comparison.runs.values()
  if rest:
    return panel
  declared = next(iter(runs.values())).declaration(name)
  extra = [
      figures.line(metric.words, *members)
      for metric in declared.other_metrics
      if metric.has_figure
      and (members := _shared(runs, f"{name}/{metric.name}"))
  ]
  lines = [line._replace(label=declared.headline.words) for line in panel.lines]
  return panel._replace(lines=[*lines, *extra])


def _other_metrics(
    comparison: comparison_lib.Comparison, name: str
) -> dict[str, figures.Panel]:
  """Returns panels of the metrics that are not in the panel of the headline."""
  first = next(iter(next(iter(comparison.runs.values())).values()))
  is_alone = len(comparison.runs) == 1
  return {
      f"heldout-{name}-{metric.name}": _panel(
          f"held-out {metric.heading}",
          _by_label(comparison, f"{name}/{metric.name}"),
      )
      for metric in first.declaration(name).other_metrics
      if not (is_alone and metric.has_figure)
  }


def _differences(
    comparison: comparison_lib.Comparison, name: str
) -> figures.Panel:
  """Returns the differences of an evaluation, with a short label."""
  headline = comparison.evals[name]
  reference = comparison.reference
  if len(reference) > _LETTERS:
    reference = "reference"
  title = headline.with_unit(f"{headline.words} - {reference}")
  panel = comparison_report.differences_panel(comparison, name)
  return panel._replace(ylabel=title)


def _by_label(
    comparison: comparison_lib.Comparison, path: str
) -> dict[str, list[curves.Curve]]:
  """Returns a metric of the runs of each label."""
  return {label: _shared(runs, path) for label, runs in comparison.runs.items()}


def _shared(
    runs: Mapping[int, curves.RunRecords], path: str
) -> list[curves.Curve]:
  """Returns a metric of the runs that have it, at the steps of all of them."""
  by_seed = {
      seed: run.metrics[path]
      for seed, run in runs.items()
      if path in run.metrics
  }
  return alignment.share_steps(by_seed)


def _tasks(
    comparison: comparison_lib.Comparison, name: str
) -> dict[str, dict[str, curves.Curve]]:
  """Returns curves of the tasks of an evaluation by label, of the first seeds.

  Returns:
    {} if the evaluator wants no such figure, or there are too many tasks.
  """
  by_task: dict[str, dict[str, curves.Curve]] = {}
  for label, runs in comparison.runs.items():
    run = next(iter(runs.values()))
    is_wanted = (
        name in run.config.evaluations
        and "tasks" in run.declaration(name).figures
    )
    for task, curve in run.tasks(name).items() if is_wanted else ():
      by_task.setdefault(task, {})[label] = curve
  return by_task if len(by_task) <= _MOST_PANELS else {}


def _order_curves(
    comparison: comparison_lib.Comparison,
) -> dict[str, dict[str, list[curves.Curve]]]:
  """Returns what changes along the orders, by title and label."""
  by_title: dict[str, dict[str, dict[int, curves.Curve]]] = {}
  for label, runs in comparison.runs.items():
    for seed, run in runs.items():
      for title, curve in _along(run).items():
        by_title.setdefault(title, {}).setdefault(label, {})[seed] = curve
  return {
      title: {
          label: alignment.share_steps(by_seed)
          for label, by_seed in by_label.items()
      }
      for title, by_label in by_title.items()
  }


def _along(run: curves.RunRecords) -> dict[str, curves.Curve]:
  """Returns what changes along the order of a run, and its distances."""
  order = run.load_order()
  return {
      **order_view.along(run, store_lib.open_store(run.store), order),
      **trace_view.distances(run, order),
  }
