"""Figures of runs on rewrites, as PNG bytes."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib import axes as axes_lib
from matplotlib import figure as figure_lib
import numpy as np

from zsgen.reports import figures
from zsgen.rewrites.report import measures as rewrites_measures
from zsgen.rewrites.report import runs as rewrites_runs
from zsgen.rewrites.report.arms import Arm

# Exact match on unseen rules by rules, read off Fig. 2a of 2402.10891 (to
# about 0.005): x and y of 20 letters, z of 50, 10^6 examples, 50 epochs.
PUBLISHED = {
    **dict.fromkeys((10, 20, 50, 100, 200, 300), 0.0),
    400: 0.13,
    500: 0.85,
    600: 0.93,
    1000: 0.98,
    2000: 0.987,
    2500: 0.984,
    5000: 0.987,
    10_000: 0.992,
    100_000: 0.99,
    1_000_000: 0.99,
}
ANOTHER_SCALE = "Fig. 2a of 2402.10891: another scale, not to be matched"
SAME_SCALE = "Fig. 2a of 2402.10891"
_MARKERS = "osD^vP"
# Arms whose seen rules are drawn too: more would hide the unseen ones.
_MOST_CONTROLS = 2


def accuracy(arms: Sequence[Arm], published: str) -> bytes:
  """Draws exact match against the number of rules, with the range over seeds.

  Args:
    arms: a line each.
    published: how the published line is called; "" for none.

  Returns:
    A PNG.
  """
  figure = figure_lib.Figure((9.0, 4.6), layout="constrained")
  axes = figure.subplots()
  for index, arm in enumerate(arms):
    style = {
        "color": figures.HUES[index % len(figures.HUES)],
        "marker": _MARKERS[index // len(figures.HUES) % len(_MARKERS)],
    }
    label = "unseen rules" if len(arms) == 1 else arm.label
    _line(axes, arm.values(), label, style)
    if len(arms) <= _MOST_CONTROLS and (
        seen_values := arm.values(rewrites_runs.SEEN_SPLIT)
    ):
      words = f"{label}, seen" if len(arms) > 1 else "seen rules, new inputs"
      _line(
          axes, seen_values, words, {**style, "linestyle": "--", "alpha": 0.6}
      )
  if len(arms) == 1:
    _half(axes, arms[0])
  if published:
    axes.plot(
        [*PUBLISHED.keys()],
        [*PUBLISHED.values()],
        color=figures.INK,
        linestyle=":",
        marker="x",
        label=published,
    )
  axes.set_xscale("log")
  axes.set(
      xlabel="distinct training rules",
      ylabel="exact match (share)",
      ylim=(-0.03, 1.03),
  )
  axes.grid(color=figures.GRID)
  axes.spines[["top", "right"]].set_visible(False)
  columns = 1 if len(arms) == 1 else 2
  figure.legend(loc="outside lower center", ncols=columns, frameon=False)
  return figures.png(figure)


def examples_per_rule(matches: Mapping[tuple[int, int], float]) -> bytes:
  """Draws accuracy as a heat map: rules to the right, examples a rule up.

  Args:
    matches: exact match by rules and examples a rule.

  Returns:
    A PNG; pairs without a run are blank.
  """
  rules, examples = (sorted({pair[i] for pair in matches}) for i in (0, 1))
  values = np.full((len(examples), len(rules)), np.nan)
  for (count, per_rule), value in matches.items():
    values[examples.index(per_rule), rules.index(count)] = value
  figure = figure_lib.Figure(
      (9.0, 2.0 + 0.4 * len(examples)), layout="constrained"
  )
  axes = figure.subplots()
  image = axes.imshow(
      values, origin="lower", aspect="auto", cmap="viridis", vmin=0, vmax=1
  )
  axes.set_xticks(range(len(rules)), [f"{per_rule:,}" for per_rule in rules])
  axes.set_yticks(
      range(len(examples)), [f"{per_rule:,}" for per_rule in examples]
  )
  axes.set(xlabel="distinct training rules", ylabel="examples a rule")
  for (row, column), value in np.ndenumerate(values):
    if not np.isnan(value):
      color = "white" if value < rewrites_measures.HALF else figures.INK
      axes.text(
          column, row, f"{value:.2f}", ha="center", va="center", color=color
      )
  figure.colorbar(image, ax=axes, label="exact match (share), unseen rules")
  return figures.png(figure)


def _line(
    axes: axes_lib.Axes,
    values: Mapping[int, Mapping[int, float]],
    label: str,
    style: Mapping[str, Any],
) -> None:
  """Means over seeds, and a band from the lowest to the highest."""
  rules = [*values]
  of_seeds = [[*by_seed.values()] for by_seed in values.values()]
  axes.fill_between(
      rules,
      [min(seed_values) for seed_values in of_seeds],
      [max(seed_values) for seed_values in of_seeds],
      color=style["color"],
      alpha=0.15,
      linewidth=0,
  )
  means = [np.mean(seed_values) for seed_values in of_seeds]
  axes.plot(rules, means, label=label, linewidth=1.5, markersize=5, **style)


def _half(axes: axes_lib.Axes, arm: Arm) -> None:
  """Marks I50 and its interval."""
  threshold = rewrites_measures.threshold(arm.values())
  if threshold.rules is None:
    return
  axes.axvline(
      threshold.rules, color=figures.HUES[0], linewidth=0.8, linestyle="-."
  )
  if threshold.low is not None and threshold.high is not None:
    axes.axvspan(
        threshold.low, threshold.high, color=figures.HUES[0], alpha=0.07
    )
  axes.annotate(
      f"I50 {threshold.rules:,.0f}",
      (threshold.rules, 0.75),
      xytext=(-6, 0),
      textcoords="offset points",
      ha="right",
      color=figures.HUES[0],
  )
