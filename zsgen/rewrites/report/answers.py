"""Tables of what answers to unseen rules are like."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from zsgen.reports import grids
from zsgen.rewrites.report import errors as rewrites_errors
from zsgen.rewrites.report import tables as rewrites_tables
from zsgen.rewrites.report.arms import Arm


def wrong(arms: Sequence[Arm]) -> grids.Grid | None:
  """Classes of written answers to inputs that have x; None without any."""
  rows = []
  for arm, rules, by_seed in rewrites_tables.each(arms):
    found = [rewrites_errors.shares(run) for run in by_seed.values()]
    if found := [each for each in found if each]:
      rows.append([arm.label, f"{rules:,}", *_means(found)])
  if not rows:
    return None
  return rewrites_tables.grid(
      arms,
      "Written answers to unseen rules whose x is in the input (shares)",
      ("", "rules", *rewrites_errors.CLASSES),
      rows,
      "Ignored: the input as it was. Wrong y: right but for what stands for x."
      " Misplaced: y stands for something else. Means over seeds.",
  )


def categories(arms: Sequence[Arm]) -> grids.Grid | None:
  """Exact match by the unseen rules' families; None of one family."""
  found = {
      (arm.label, rules): [
          rewrites_errors.by_category(run) for run in by_seed.values()
      ]
      for arm, rules, by_seed in rewrites_tables.each(arms)
  }
  kinds = sorted({k for runs in found.values() for run in runs for k in run})
  if not kinds:
    return None
  rows = [
      [label, f"{rules:,}", *(_mean(run.get(k) for run in runs) for k in kinds)]
      for (label, rules), runs in found.items()
  ]
  title = (
      "Exact match (share) by family and k of unseen rules, means over seeds"
  )
  return rewrites_tables.grid(arms, title, ("", "rules", *kinds), rows)


def places(arms: Sequence[Arm]) -> grids.Grid | None:
  """Exact match by where x is in the input; None without any store."""
  rows = []
  for arm, rules, by_seed in rewrites_tables.each(arms):
    found = [rewrites_errors.by_place(run) for run in by_seed.values()]
    if any(found):
      shown = (
          _mean(each.get(name) for each in found)
          for name in rewrites_errors.FIFTHS
      )
      rows.append([arm.label, f"{rules:,}", *shown])
  if not rows:
    return None
  return rewrites_tables.grid(
      arms,
      "Exact match (share) by where x begins in the input, means over seeds",
      ("", "rules", *rewrites_errors.FIFTHS),
      rows,
      "Fifths of the places at which x may begin, from the left.",
  )


def _means(found: Sequence[Mapping[str, float]]) -> list[str]:
  return [_mean(each[name] for each in found) for name in found[0]]


def _mean(values: Iterable[float | None]) -> str:
  known = [value for value in values if value is not None]
  return grids.number(float(np.mean(known)) if known else None)
