"""Tables of runs on rewrites."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from zsgen.reports import grids, measures
from zsgen.rewrites.report import measures as rewrites_measures
from zsgen.rewrites.report import runs as rewrites_runs
from zsgen.rewrites.report.arms import Arm
from zsgen.rewrites.report.runs import Rewriting

_SPLITS = (rewrites_runs.UNSEEN, rewrites_runs.SEEN_SPLIT)
# Metrics of unseen rules beside exact match, and what they are called.
_DETAILS = {
    "has_op_exact_match": "has x",
    "no_op_exact_match": "no x",
    "token_accuracy": "tokens",
}


def accuracy(arms: Sequence[Arm]) -> grids.Grid:
  """Tabulates exact match at the last evaluation, a row a number of rules."""
  rows = [
      [
          arm.label,
          f"{rules:,}",
          f"{arm.example_run.example_count / rules:,.4g}",
          f"{np.mean([run.effective for run in by_seed.values()]):,.0f}",
          str(len(by_seed)),
          *(_spread(arm.values(split), rules) for split in _SPLITS),
      ]
      for arm, rules, by_seed in iterate_rules(arms)
  ]
  header = ("", "rules", "per rule", "effective", "seeds", *_SPLITS)
  return grid(
      arms,
      "Exact match (share) at the end",
      header,
      rows,
      "Means over seeds [lowest, highest]. Unseen: rules whose x and y are in"
      " no training rule. Seen: training rules on new inputs, the control. Per"
      " rule: training examples. Effective: exp of the entropy of the rules'"
      " shares of them.",
  )


def unseen_details(arms: Sequence[Arm]) -> grids.Grid:
  """Tabulates the other metrics of unseen rules."""
  rows = [
      [
          arm.label,
          f"{rules:,}",
          *(
              grids.number(arm.means(kind=metric).get(rules))
              for metric in _DETAILS
          ),
          _generalized([*by_seed.values()]),
      ]
      for arm, rules, by_seed in iterate_rules(arms)
  ]
  return grid(
      arms,
      "More on unseen rules (shares), means over seeds",
      ("", "rules", *_DETAILS.values(), "steps to 0.5"),
      rows,
      "Exact match on inputs that have x and on those that do not; tokens:"
      " right ones of the answers, given those before. Steps: the first"
      " evaluation of 0.5 or more, the range over seeds; in brackets how many"
      " came there, if not all.",
  )


def thresholds(arms: Sequence[Arm]) -> grids.Grid:
  """Tabulates I50 of each arm."""
  rows = []
  for arm in arms:
    threshold = rewrites_measures.threshold(arm.values())
    interval = grids.MISSING
    if threshold.low is not None:
      interval = f"{threshold.low:,.0f} to {threshold.high:,.0f}"
    rows.append(
        [
            arm.label,
            grids.number(threshold.rules, 0),
            interval,
            grids.number(threshold.without)
            if threshold.low is not None
            else grids.MISSING,
        ]
    )
  return grid(
      arms,
      "I50: rules at which exact match (share) on unseen ones is 0.5",
      ("", "I50", "95% interval", "resamples without"),
      rows,
      "Interpolated on a log scale. The interval is a bootstrap over seeds; of"
      " few seeds it is coarse.",
  )


def iterate_rules(
    arms: Sequence[Arm],
) -> Iterator[tuple[Arm, int, Mapping[int, Rewriting]]]:
  """Yields each arm, each of its numbers of rules, and the runs of both."""
  for arm in arms:
    for rules, by_seed in arm.runs.items():
      yield arm, rules, by_seed


def grid(
    arms: Sequence[Arm],
    title: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    note: str = "",
) -> grids.Grid:
  """Builds a table whose first column, if there are arms, names the arm."""
  if len(arms) > 1:
    return grids.Grid(title, header, rows, note=note)
  return grids.Grid(
      title, header[1:], [row[1:] for row in rows], words=0, note=note
  )


def _spread(values: Mapping[int, Mapping[int, float]], rules: int) -> str:
  return grids.ranged(measures.spread(values.get(rules, {}).values()))


def _generalized(runs: Sequence[Rewriting]) -> str:
  """The range of steps to 0.5, and how many runs came there if not all."""
  steps = [
      step
      for run in runs
      if (curve := run.curve(rewrites_runs.UNSEEN)) is not None
      and (step := rewrites_measures.generalized_at(curve)) is not None
  ]
  if not steps:
    return grids.MISSING
  steps_range = f"{min(steps):,}"
  if max(steps) > min(steps):
    steps_range += f" to {max(steps):,}"
  return (
      steps_range
      if len(steps) == len(runs)
      else f"{steps_range} ({len(steps)})"
  )
