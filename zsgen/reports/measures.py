"""Measures of a held-out curve, fixed before any run was looked at.

  first         at step 0: zero-shot
  first_tenth   mean over evaluations with 0 < step <= steps / 10
  mean          mean over all evaluations after step 0
  final         at the last evaluation

Orders are compared by differences within a seed, as the seed draws the suite.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from zsgen.reports import curves

# What orders are compared by.
COMPARED = ("first_tenth", "mean", "final")


class Spread(NamedTuple):
  """A mean over seeds, and the whole range."""

  mean: float
  low: float
  high: float
  seeds: int


def measure(curve: curves.Curve, steps: int) -> dict[str, float | None]:
  """All measures of a curve.

  Args:
    curve: a loss at evaluations.
    steps: steps of the whole run.

  Returns:
    By measure its value; None where no evaluation is in its range. `drop` is
    the share of the zero-shot loss that is gone at the end.
  """
  at, values = curve
  after = at > 0
  first = _mean(values[at == 0])
  final = _mean(values[-1:])
  return {
      "first": first,
      "first_tenth": _mean(values[after & (10 * at <= steps)]),
      "mean": _mean(values[after]),
      "final": final,
      "drop": (first - final) / first if first and final is not None else None,
  }


def improved(evaluation: curves.Evaluation) -> float | None:
  """Share of examples whose last loss is below their first; None if empty."""
  if len(evaluation.losses) < 2:
    return None
  first, last = evaluation.losses[0], evaluation.losses[-1]
  return float((last < first).mean())


def spread(values: Iterable[float | None]) -> Spread | None:
  """Mean and range of values; None if any is missing, or there are none."""
  found = list(values)
  if not found or None in found:
    return None
  return Spread(float(np.mean(found)), min(found), max(found), len(found))


def paired(
    values: Mapping[int, float | None], reference: Mapping[int, float | None]
) -> Spread | None:
  """Differences to a reference within each seed that both have.

  Args:
    values: a measure by seed.
    reference: the same measure of the order that is compared with, by seed.

  Returns:
    Mean and range of value - reference; None if no seed has both.
  """
  return spread(
      None if None in (value, reference[seed]) else value - reference[seed]
      for seed, value in values.items()
      if seed in reference
  )


def _mean(values: np.ndarray) -> float | None:
  return float(values.mean()) if len(values) else None
