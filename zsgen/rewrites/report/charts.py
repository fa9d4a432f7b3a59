"""Charts of accuracy against the number of rules."""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses

import numpy as np

from zsgen.reports import curves, grids
from zsgen.reports.interactive import sets
from zsgen.rewrites.report import figures as rewrites_figures
from zsgen.rewrites.report import runs as rewrites_runs
from zsgen.rewrites.report.arms import Arm

NAME = "rewrites"
_X = "distinct training rules"
# The published line, next to those of arms.
_PUBLISHED = "2402.10891"
# What is drawn: split, metric, and what it is called.
_METRICS = (
    (rewrites_runs.UNSEEN, "exact_match", "exact match (share), unseen rules"),
    (
        rewrites_runs.SEEN_SPLIT,
        "exact_match",
        "exact match (share), seen rules, new inputs",
    ),
    (
        rewrites_runs.UNSEEN,
        "has_op_exact_match",
        "exact match (share), unseen rules, inputs with x",
    ),
    (
        rewrites_runs.UNSEEN,
        "no_op_exact_match",
        "exact match (share), unseen rules, inputs without x",
    ),
    (
        rewrites_runs.UNSEEN,
        "token_accuracy",
        "right tokens (share), unseen rules",
    ),
)


def build(arms: Sequence[Arm], published: str) -> list[sets.Chart]:
  """Returns a chart of each metric that the runs have.

  Args:
    arms: lines, one for each of their seeds.
    published: what the published line is called; "" for none.
  """
  charts = []
  for split, kind, words in _METRICS:
    lines = [line for arm in arms for line in _lines(arm, split, kind)]
    if lines:
      name = f"{split}-{kind}"
      charts.append(sets.Chart(name, _X, words, lines, is_log=True))
  if published:
    first, *others = charts
    rules, values = zip(*rewrites_figures.PUBLISHED.items(), strict=True)
    line = curves.Curve(np.array(rules), np.array(values))
    figure = sets.Published(published, {_PUBLISHED: line})
    charts = [dataclasses.replace(first, published=[figure]), *others]
  return charts


def note(arms: Sequence[Arm]) -> str:
  """Returns what means over seeds leave out; "" if they leave out nothing."""
  partial = [
      arm.label
      for arm in arms
      if len({frozenset(by_seed) for by_seed in arm.runs.values()}) > 1
  ]
  if not partial:
    return ""
  return (
      f"Not all seeds have all numbers of rules ({'; '.join(partial)}). Figures"
      " have means at those that all seeds have, or, with 'each seed', all"
      " points; tables have means over the seeds that there are."
  )


def examples_per_rule(matches: Mapping[tuple[int, int], float]) -> grids.Grid:
  """Tabulates accuracy: a row for examples a rule, a column for rules.

  Args:
    matches: exact match by rules and examples a rule.
  """
  rules, examples = (sorted({pair[i] for pair in matches}) for i in (0, 1))
  rows = [
      [
          f"{per_rule:,}",
          *(grids.number(matches.get((count, per_rule))) for count in rules),
      ]
      for per_rule in examples
  ]
  header = ("examples a rule", *(f"{count:,} rules" for count in rules))
  title = "Exact match (share), unseen rules, by rules and examples a rule"
  return grids.Grid(title, header, rows, words=0)


def _lines(arm: Arm, split: str, kind: str) -> Iterator[sets.Line]:
  """Yields the accuracy of each seed by number of rules."""
  by_seed: dict[int, dict[int, float]] = {}
  for rules, values in arm.values(split, kind).items():
    for seed, value in values.items():
      by_seed.setdefault(seed, {})[rules] = value
  for seed, values in sorted(by_seed.items()):
    x, y = zip(*sorted(values.items()), strict=True)
    curve = curves.Curve(np.array(x), np.array(y, np.float64))
    yield sets.Line(arm.label, seed, curve)
