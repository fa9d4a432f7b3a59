"""Tables of runs on rewrites."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from zsgen.reports import grids, measures
from zsgen.rewrites.report import measures as rewrites_measures
from zsgen.rewrites.report import runs as rewrites_runs
from zsgen.rewrites.report.arms import Arm
from zsgen.rewrites.report.runs import Rewriting
from zsgen.rewrites.report.targets import Outcome

_SPLITS = (rewrites_runs.UNSEEN, rewrites_runs.SEEN)
# Metrics of unseen rules beside exact match, and what they are called.
_BESIDE = {
    "has_op_exact_match": "has x",
    "no_op_exact_match": "no x",
    "token_accuracy": "tokens",
}


def accuracy(arms: Sequence[Arm]) -> grids.Grid:
  """Exact match at the last evaluation, a row a number of rules."""
  rows = [
      [
          arm.label,
          f"{rules:,}",
          f"{arm.one.kept / rules:,.4g}",
          f"{np.mean([run.effective for run in by_seed.values()]):,.0f}",
          str(len(by_seed)),
          *(_spread(arm.values(split), rules) for split in _SPLITS),
      ]
      for arm, rules, by_seed in each(arms)
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


def beside(arms: Sequence[Arm]) -> grids.Grid:
  """What else is known of unseen rules."""
  rows = [
      [
          arm.label,
          f"{rules:,}",
          *(
              grids.number(arm.means(kind=metric).get(rules))
              for metric in _BESIDE
          ),
          _generalized([*by_seed.values()]),
      ]
      for arm, rules, by_seed in each(arms)
  ]
  return grid(
      arms,
      "More on unseen rules (shares), means over seeds",
      ("", "rules", *_BESIDE.values(), "steps to 0.5"),
      rows,
      "Exact match on inputs that have x and on those that do not; tokens:"
      " right ones of the answers, given those before. Steps: the first"
      " evaluation of 0.5 or more, the range over seeds; in brackets how many"
      " came there, if not all.",
  )


def thresholds(arms: Sequence[Arm]) -> grids.Grid:
  """I50 of each arm."""
  rows = []
  for arm in arms:
    found = rewrites_measures.threshold(arm.values())
    interval = grids.MISSING
    if found.low is not None:
      interval = f"{found.low:,.0f} to {found.high:,.0f}"
    rows.append(
        [
            arm.label,
            grids.number(found.rules, 0),
            interval,
            grids.share(found.without)
            if found.low is not None
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


def outcomes(found: Sequence[Outcome]) -> grids.Grid:
  """Targets of the papers' figures."""
  return grids.Grid(
      "What the papers' figures show",
      ("target", "wanted", "", "found"),
      found,
      words=4,
      note=(
          "Not run: these runs cannot answer it. Thresholds depend on lengths,"
          " examples and steps; published numbers are asked only of runs of the"
          " paper's sizes."
      ),
  )


def each(
    arms: Sequence[Arm],
) -> Iterator[tuple[Arm, int, Mapping[int, Rewriting]]]:
  """Each arm with each of its numbers of rules, and the runs of that."""
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
  """A table whose first column names the arm; without it for one arm."""
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
      if (at := run.curve(rewrites_runs.UNSEEN)) is not None
      and (step := rewrites_measures.generalized_at(at)) is not None
  ]
  if not steps:
    return grids.MISSING
  said = f"{min(steps):,}"
  if max(steps) > min(steps):
    said += f" to {max(steps):,}"
  return said if len(steps) == len(runs) else f"{said} ({len(steps)})"
