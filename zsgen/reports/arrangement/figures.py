"""Figures of experiments, some beside the published ones, as PNG bytes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from zsgen.reports import (
    comparison,
    comparison_report,
    curves,
    figures,
    measures,
)
from zsgen.reports.arrangement import charts
from zsgen.reports.arrangement import experiments as experiments_lib
from zsgen.reports.interactive import sets


class Picture(NamedTuple):
  """A figure and what it shows.

  Attributes:
    name: distinguishes the figures of an experiment: "loss", "differences",
      "scores", "rewards", "similarity" or "tasks".
    title: in words.
    png: the image.
  """

  name: str
  title: str
  png: bytes


def draw(experiment: experiments_lib.Experiment) -> list[Picture]:
  """Draws the figures of an experiment.

  Returns:
    The loss of all arms and the scores and rewards of written answers, beside
    the published curves; the loss above the distance of what was trained on, if
    all orders have a trace; and each held-out task. Bands go from the lowest to
    the highest seed.

  Raises:
    InputError: a trace is damaged or belongs to another order.
  """
  title, loss = experiment.title, charts.loss(experiment)
  pictures = [
      Picture("loss", "held-out loss", _draw_beside(title, loss)),
      *(
          Picture(
              chart.name,
              f"{chart.name} of written answers",
              _draw_beside(title, chart),
          )
          for chart in charts.written(experiment)
      ),
  ]
  if distances := charts.distances(experiment):
    png = _draw_similarity([loss, *distances])
    pictures.append(Picture("similarity", "loss and distance", png))
  tasks = _draw_tasks(experiment)
  return [*pictures, Picture("tasks", "held-out tasks, one by one", tasks)]


def draw_differences(compared: comparison.Comparison) -> list[Picture]:
  """Draws the differences of the loss to the reference, paired within a seed.

  Bands are the 95% intervals of their means over seeds.

  Returns:
    [] for a single arm.
  """
  panel = comparison_report.differences_panel(compared, "heldout")
  if not panel.lines:
    return []
  seeds = min(len(line.values) for line in panel.lines)
  band = "95% intervals over seeds (Student's t)"
  if seeds < measures.LEAST_SEEDS:
    band = "fewer than three seeds: no interval"
  title = f"held-out loss, differences to {compared.reference}"
  png = figures.plot([[panel._replace(title=band)]])
  return [Picture("differences", title, png)]


def _draw_beside(title: str, chart: sets.Chart) -> bytes:
  """Draws a chart and the published curves beside it, with the same scales."""
  panels = [figures.Panel(title, chart.x, chart.y, _lines(chart))]
  for figure in chart.published:
    lines = [figures.line(*item) for item in figure.lines.items()]
    panels.append(figures.Panel(figure.title, chart.x, "", lines))
  return figures.plot([panels], one_y=True)


def _draw_tasks(experiment: experiments_lib.Experiment) -> bytes:
  """Draws the loss of each held-out task, the mean over seeds of each arm."""
  panels: dict[str, dict[str, curves.Curve]] = {}
  for arm, runs in experiment.arms.items():
    members = [runs[seed].tasks("heldout") for seed in experiment.seeds]
    for task in members[0]:
      losses = [member[task].values for member in members if task in member]
      mean = curves.Curve(members[0][task].steps, np.mean(losses, axis=0))
      panels.setdefault(task, {})[arm] = mean
  return figures.small_multiples(panels)


def _draw_similarity(shown: Sequence[sets.Chart]) -> bytes:
  """Draws the loss above the distances, on one axis of steps."""
  panels = [
      figures.Panel(chart.y, "", "", _lines(chart), height=1.9)
      for chart in shown
  ]
  panels[0] = panels[0]._replace(height=2.4)
  panels[-1] = panels[-1]._replace(xlabel=charts.X)
  return figures.plot([[panel] for panel in panels], one_x=True)


def _lines(chart: sets.Chart) -> list[figures.Line]:
  """Returns a line of each label, over its seeds."""
  by_label: dict[str, list[curves.Curve]] = {}
  for line in chart.lines:
    by_label.setdefault(line.label, []).append(line.curve)
  return [figures.line(label, *members) for label, members in by_label.items()]
