"""Measures of a held-out curve, chosen before any run.

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

# The measures for comparing orders.
COMPARED = ("first_tenth", "mean", "final")


class Spread(NamedTuple):
  """A mean over seeds, and the whole range."""

  mean: float
  low: float
  high: float
  seeds: int


def measure(curve: curves.Curve, steps: int) -> dict[str, float | None]:
  """Returns all measures of a curve.

  Args:
    curve: a loss at evaluations.
    steps: steps of the whole run.

  Returns:
    Values by measure; None if no evaluation is in the range. `drop` is the share
    by which the zero-shot loss decreases until the end.
  """
  evaluated_at, values = curve
  is_trained = evaluated_at > 0
  first = _mean(values[evaluated_at == 0])
  final = _mean(values[-1:])
  return {
      "first": first,
      "first_tenth": _mean(values[is_trained & (10 * evaluated_at <= steps)]),
      "mean": _mean(values[is_trained]),
      "final": final,
      "drop": (first - final) / first if first and final is not None else None,
  }


def improved(evaluation: curves.Evaluation) -> float | None:
  """Returns the share of examples whose last loss is below their first, or
  None.
  """
  if len(evaluation.losses) < 2:
    return None
  first, last = evaluation.losses[0], evaluation.losses[-1]
  return float((last < first).mean())


def spread(values: Iterable[float | None]) -> Spread | None:
  """Returns mean and range of values; None if any is missing or there are none."""
  all_values = list(values)
  known = [value for value in all_values if value is not None]
  if not known or len(known) < len(all_values):
    return None
  return Spread(float(np.mean(known)), min(known), max(known), len(known))


def difference(value: float | None, reference: float | None) -> float | None:
  """Returns value - reference; None if either is missing."""
  if value is None or reference is None:
    return None
  return value - reference


def paired(
    values: Mapping[int, float | None], reference: Mapping[int, float | None]
) -> Spread | None:
  """Returns differences to a reference, within each seed that both have.

  Args:
    values: a measure by seed.
    reference: the same measure of the reference order, by seed.

  Returns:
    Mean and range of value - reference; None if no seed has both.
  """
  return spread(
      difference(value, reference[seed])
      for seed, value in values.items()
      if seed in reference
  )


def _mean(values: np.ndarray) -> float | None:
  return float(values.mean()) if len(values) else None
