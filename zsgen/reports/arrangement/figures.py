"""Figures of experiments, some beside the published ones, as PNG bytes."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from zsgen.orders import order as order_lib
from zsgen.orders import trace as trace_lib
from zsgen.reports import curves, figures
from zsgen.reports.arrangement import experiments as experiments_lib
from zsgen.reports.arrangement import published

# The published figures of an experiment, by its tier; "" is any other.
_FIGURES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "early": {"": ("early/loss",)},
    "pilot": {
        "": (
            "pilot/task851_synthetic_multiply_evens",
            "pilot/task900_freebase_qa_category_classification",
        )
    },
    "wsd": {"": ("similarity_wsd",)},
    "granularity": {"": ("granularity",)},
    "tmt": {
        "sharegpt": ("tmt_sharegpt",),
        "norobots": ("tmt_no_robots",),
        "": ("tmt_flan_mini",),
    },
    "slices": {"": ("tmt_round_slices",)},
    "settings": {"": ("tmt_five_settings",)},
}
_X = "share of the steps"
_Y = "held-out loss / zero-shot loss"
_DISTANCES = {
    "cosine_min": "negative cosine, nearest pair",
    "cosine_avg": "negative cosine, mean",
}


class Picture(NamedTuple):
  """A figure and what it shows.

  Attributes:
    name: distinguishes the figures of an experiment: "loss", "similarity" or
      "tasks".
    title: in words.
    png: the image.
  """

  name: str
  title: str
  png: bytes


def draw(experiment: experiments_lib.Experiment) -> list[Picture]:
  """Draws the figures of an experiment.

  Returns:
    The loss of all arms beside the published curves; the loss above the
    distance of what was trained on, if all orders have a trace; and each
    held-out task.

  Raises:
    InputError: a trace is damaged or belongs to another order.
  """
  pictures = [
      Picture("loss", "held-out loss", _draw_loss(experiment)),
      Picture("tasks", "held-out tasks, one by one", _draw_tasks(experiment)),
  ]
  traces = _traces(experiment)
  if traces is not None:
    png = _draw_similarity(experiment, traces)
    pictures.insert(1, Picture("similarity", "loss and distance", png))
  return pictures


def _draw_loss(experiment: experiments_lib.Experiment) -> bytes:
  """Draws the held-out loss of all arms, and the published curves beside it.

  Losses are divided by the loss before training, and steps by their number,
  because absolute losses and lengths differ. Bands go from the lowest to the
  highest seed.
  """
  panels = [figures.Panel(experiment.title, _X, _Y, _loss_lines(experiment))]
  for name in _published(experiment):
    panels.append(
        figures.Panel(f"2406.11721: {name}", _X, "", _published_lines(name))
    )
  return figures.plot([panels])


def _draw_tasks(experiment: experiments_lib.Experiment) -> bytes:
  """Draws the loss of each held-out task, the mean over seeds of each arm."""
  panels: dict[str, dict[str, curves.Curve]] = {}
  for arm in experiment.arms:
    members = [run.tasks("heldout") for run in _runs(experiment, arm)]
    for task in members[0]:
      losses = [member[task].values for member in members if task in member]
      mean = curves.Curve(members[0][task].steps, np.mean(losses, axis=0))
      panels.setdefault(task, {})[arm] = mean
  return figures.small_multiples(panels)


def _draw_similarity(
    experiment: experiments_lib.Experiment,
    traces: Mapping[str, list[trace_lib.Trace]],
) -> bytes:
  """Draws the loss above the distances, on one axis of steps."""
  panels = [figures.Panel(_Y, "", "", _loss_lines(experiment), height=2.4)]
  for measure, title in _DISTANCES.items():
    lines = [
        figures.line(arm, *(_distance(trace, measure) for trace in members))
        for arm, members in traces.items()
    ]
    panels.append(figures.Panel(title, "", "", lines, height=1.9))
  panels[-1] = panels[-1]._replace(xlabel=_X)
  return figures.plot([[panel] for panel in panels], one_x=True)


def _distance(trace: trace_lib.Trace, measure: str) -> curves.Curve:
  share = trace.examples / trace.examples[-1]
  return curves.Curve(share, trace.means(measure))


def _traces(
    experiment: experiments_lib.Experiment,
) -> dict[str, list[trace_lib.Trace]] | None:
  """The traces of all runs by arm; None if one is missing."""
  traces: dict[str, list[trace_lib.Trace]] = {}
  for arm in experiment.arms:
    for run in _runs(experiment, arm):
      order = order_lib.Order.load(run.order)
      trace = trace_lib.find(order, run.config.evals["heldout"].split)
      if trace is None:
        return None
      traces.setdefault(arm, []).append(trace)
  return traces


def _loss_lines(experiment: experiments_lib.Experiment) -> list[figures.Line]:
  return [
      figures.line(arm, *(_relative(run) for run in _runs(experiment, arm)))
      for arm in experiment.arms
  ]


def _runs(
    experiment: experiments_lib.Experiment, arm: str
) -> list[curves.RunRecords]:
  return [experiment.arms[arm][seed] for seed in experiment.seeds]


def _relative(run: curves.RunRecords) -> curves.Curve:
  steps, values = run.metrics[experiments_lib.LOSS]
  return curves.Curve(steps / run.steps, values / values[0])


def _published(experiment: experiments_lib.Experiment) -> tuple[str, ...]:
  by_tier = _FIGURES.get(experiment.name, {})
  return by_tier.get(experiment.tier, by_tier.get("", ()))


def _published_lines(name: str) -> list[figures.Line]:
  """The series of a published figure."""
  return [
      figures.line(label, curve)
      for label, curve in published.relative(name).items()
  ]
