"""Figures of experiments beside the published ones, as PNG bytes."""

from collections.abc import Mapping

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


def draw(experiment: experiments_lib.Experiment) -> bytes:
  """Draws the held-out loss of all arms, and the published curves beside it.

  Losses are divided by the loss before training, and steps by their number,
  because absolute losses and lengths differ. Bands go from the lowest to the
  highest seed.

  Returns:
    A PNG.
  """
  lines = [
      figures.line(arm, *(_relative(run) for run in _runs(experiment, arm)))
      for arm in experiment.arms
  ]
  ylabel = "held-out loss / zero-shot loss"
  panels = [figures.Panel(experiment.title, _X, ylabel, lines)]
  for name in _published(experiment):
    panels.append(
        figures.Panel(f"2406.11721: {name}", _X, "", _published_lines(name))
    )
  return figures.plot([panels])


def _runs(experiment: experiments_lib.Experiment, arm: str) -> list[curves.Run]:
  return [experiment.arms[arm][seed] for seed in experiment.seeds]


def _relative(run: curves.Run) -> curves.Curve:
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
