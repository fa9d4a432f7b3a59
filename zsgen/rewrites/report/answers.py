"""Tables of what answers to unseen rules are like."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from zsgen.reports import grids
from zsgen.rewrites.report import errors as rewrites_errors
from zsgen.rewrites.report import tables as rewrites_tables
from zsgen.rewrites.report.arms import Arm
from zsgen.rewrites.report.runs import Rewriting


def wrong(arms: Sequence[Arm]) -> grids.Grid | None:
  """Tabulates the classes of answers to inputs with x; None without any."""
  rows = []
  for arm, rules, by_seed in rewrites_tables.iterate_rules(arms):
    shares = [rewrites_errors.shares(run) for run in by_seed.values()]
    if shares := [run_shares for run_shares in shares if run_shares]:
      rows.append([arm.label, f"{rules:,}", *_means(shares)])
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
  """Tabulates exact match by the unseen rules' families; None for one."""
  matches = {
      (arm.label, rules): [
          rewrites_errors.by_category(run) for run in by_seed.values()
      ]
      for arm, rules, by_seed in rewrites_tables.iterate_rules(arms)
  }
  kinds = sorted({k for runs in matches.values() for run in runs for k in run})
  if not kinds:
    return None
  rows = [
      [label, f"{rules:,}", *(_mean(run.get(k) for run in runs) for k in kinds)]
      for (label, rules), runs in matches.items()
  ]
  title = (
      "Exact match (share) by family and k of unseen rules, means over seeds"
  )
  return rewrites_tables.grid(arms, title, ("", "rules", *kinds), rows)


def positions(arms: Sequence[Arm]) -> grids.Grid | None:
  """Tabulates exact match by the position of x; None without any store."""
  return _by_group(
      arms,
      rewrites_errors.by_position,
      rewrites_errors.FIFTHS,
      "Exact match (share) by where x begins in the input, means over seeds",
      "Fifths of the positions at which x may begin, from the left.",
  )


def first_letters(arms: Sequence[Arm]) -> grids.Grid | None:
  """Tabulates exact match by where else x's first letter is; None as above."""
  return _by_group(
      arms,
      rewrites_errors.by_first_letter,
      rewrites_errors.FIRST_LETTERS,
      "Exact match (share) by where else in the input the first letter of x is,"
      " means over seeds",
      "A model that looks for the first letter of x instead of for all of x is"
      " worse where this letter is before x.",
  )


def _by_group(
    arms: Sequence[Arm],
    measure: Callable[[Rewriting], Mapping[str, float]],
    names: Sequence[str],
    title: str,
    note: str,
) -> grids.Grid | None:
  """Tabulates exact match by groups of inputs with x; None without any store."""
  rows = []
  for arm, rules, by_seed in rewrites_tables.iterate_rules(arms):
    matches = [measure(run) for run in by_seed.values()]
    if any(matches):
      means = (_mean(match.get(name) for match in matches) for name in names)
      rows.append([arm.label, f"{rules:,}", *means])
  if not rows:
    return None
  header = ("", "rules", *names)
  return rewrites_tables.grid(arms, title, header, rows, note)


def _means(shares: Sequence[Mapping[str, float]]) -> list[str]:
  return [
      _mean(run_shares[name] for run_shares in shares) for name in shares[0]
  ]


def _mean(values: Iterable[float | None]) -> str:
  known = [value for value in values if value is not None]
  return grids.number(float(np.mean(known)) if known else None)
