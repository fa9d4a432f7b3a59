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
from scipy import special

from zsgen.reports import curves

# The measures for comparing orders.
COMPARED = ("first_tenth", "mean", "final")
# Fewer seeds give no interval: the spread of two says next to nothing.
LEAST_SEEDS = 3
_CONFIDENCE = 0.95
# Bootstrap samples of examples; drawn from a fixed seed, so that a report is
# the same bytes whenever it is written.
_SAMPLES = 10_000
# Samples that are in memory at a time.
_BLOCK = 100


class Spread(NamedTuple):
  """A mean over seeds, and the whole range."""

  mean: float
  low: float
  high: float
  seeds: int


class Interval(NamedTuple):
  """A 95% confidence interval of a mean."""

  low: float
  high: float


class Difference(NamedTuple):
  """Paired differences between two orders: their mean, and how sure it is.

  Attributes:
    mean: over seeds.
    low, high: the least and the greatest one.
    seeds: that both orders have.
    interval: of the mean over seeds, by Student's t; None for fewer than
      `LEAST_SEEDS` seeds.
    detectable: half the width of `interval`, the smallest mean difference that
      this number of seeds can detect; or None.
  """

  mean: float
  low: float
  high: float
  seeds: int
  interval: Interval | None
  detectable: float | None


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
  measured = {
      name: _mean(values[_evaluations(evaluated_at, steps, name)])
      for name in ("first", *COMPARED)
  }
  first, final = measured["first"], measured["final"]
  return {
      **measured,
      "drop": (first - final) / first if first and final is not None else None,
  }


def of_examples(
    evaluation: curves.Evaluation, steps: int, measure: str
) -> np.ndarray:
  """Returns a measure of every row of an evaluation, float64 [E].

  Args:
    evaluation: a value of every row at every evaluation.
    steps: steps of the whole run.
    measure: "first", "first_tenth", "mean" or "final", as in `measure`.

  Returns:
    NaN where no evaluation is in the range.
  """
  at, values = evaluation.steps, evaluation.losses.astype(np.float64)
  rows = values[_evaluations(at, steps, measure)]
  return rows.mean(axis=0) if len(rows) else np.full(values.shape[1], np.nan)


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
) -> Difference | None:
  """Returns differences to a reference, within each seed that both have.

  Args:
    values: a measure by seed.
    reference: the same measure of the reference order, by seed.

  Returns:
    value - reference over seeds; None if no seed has both.
  """
  differences = [
      difference(value, reference[seed])
      for seed, value in values.items()
      if seed in reference
  ]
  over_seeds = spread(differences)
  if over_seeds is None:
    return None
  half_width = half_widths(np.array(differences, np.float64)[:, None])
  if half_width is None:
    return Difference(*over_seeds, None, None)
  half = float(half_width[0])
  mean = over_seeds.mean
  return Difference(*over_seeds, Interval(mean - half, mean + half), half)


def half_widths(values: np.ndarray) -> np.ndarray | None:
  """Returns half the width of the 95% intervals of means, by Student's t.

  Args:
    values: float64 [seeds, n], n means over seeds.

  Returns:
    float64 [n]; None for fewer than `LEAST_SEEDS` seeds.
  """
  seeds = len(values)
  if seeds < LEAST_SEEDS:
    return None
  return quantile(seeds) * values.std(axis=0, ddof=1) / np.sqrt(seeds)


def quantile(seeds: int) -> float:
  """Returns Student's t quantile of the 95% interval of a mean over seeds."""
  return float(special.stdtrit(seeds - 1, (1 + _CONFIDENCE) / 2))


def over_examples(values: np.ndarray) -> Interval:
  """Returns the 95% interval of a mean over examples, by bootstrap.

  It says how far the result depends on which examples were held out, not how
  far another seed of training would change it.

  Args:
    values: of each example, float64 [examples], one at least; such as
      differences between two orders, means over seeds.
  """
  low, high = intervals(values[None])
  return Interval(float(low[0]), float(high[0]))


def intervals(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns the 95% intervals of means over the same examples, by bootstrap.

  Args:
    values: float64 [n, examples].

  Returns:
    The lower and the upper bounds, both float64 [n].
  """
  generator = np.random.Generator(np.random.PCG64(0))
  size = values.shape[1]
  means = np.empty((_SAMPLES, len(values)))
  for first in range(0, _SAMPLES, _BLOCK):
    counts = [
        np.bincount(generator.integers(size, size=size), minlength=size)
        for _ in range(_BLOCK)
    ]
    sums = np.array(counts, np.float64) @ values.T
    means[first : first + _BLOCK] = sums / size
  tail = 100 * (1 - _CONFIDENCE) / 2
  low, high = np.percentile(means, [tail, 100 - tail], axis=0)
  return low, high


def _evaluations(
    evaluated_at: np.ndarray, steps: int, measure: str
) -> np.ndarray | slice:
  """Selects the evaluations that a measure is the mean of."""
  match measure:
    case "first":
      return evaluated_at == 0
    case "first_tenth":
      return (evaluated_at > 0) & (10 * evaluated_at <= steps)
    case "mean":
      return evaluated_at > 0
    case "final":
      return slice(-1, None)
  raise ValueError(measure)


def _mean(values: np.ndarray) -> float | None:
  return float(values.mean()) if len(values) else None
