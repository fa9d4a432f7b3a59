"""Measures of accuracy against the number of rules."""

from collections.abc import Mapping
import itertools
import math
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from zsgen.reports import curves

# Accuracy that counts as generalization, for I50 and for steps.
HALF = 0.5
_DRAWS, _SEED = 2000, 0


class Threshold(NamedTuple):
  """Where accuracy reaches a half.

  Attributes:
    rules: I50; None where accuracy never crosses a half.
    low: lower end of the interval; None with one seed, or without I50.
    high: upper end of it.
    without: share of resamples that had no crossing and are left out.
  """

  rules: float | None
  low: float | None = None
  high: float | None = None
  without: float = 0.0


def crossing(means: Mapping[int, float]) -> float | None:
  """Returns the number of rules of accuracy 0.5, on a log scale.

  Args:
    means: accuracy by number of rules.

  Returns:
    The first crossing from below; None if there is none.
  """
  rules = sorted(means)
  for low, high in itertools.pairwise(rules):
    below, above = means[low], means[high]
    if below < HALF <= above:
      part = (HALF - below) / (above - below)
      return math.exp(math.log(low) + part * (math.log(high) - math.log(low)))
  return None


def threshold(values: Mapping[int, Mapping[int, float]]) -> Threshold:
  """Computes I50 and its 95% bootstrap interval over seeds.

  Seeds are drawn with replacement, the same ones at every number of rules;
  with few of them the interval is coarse. It is the same every time.

  Args:
    values: accuracy by number of rules and seed.
  """
  half_point = crossing(_means(values))
  seeds = sorted(set().union(*values.values()) if values else ())
  if half_point is None or len(seeds) < 2:
    return Threshold(half_point)
  rng = np.random.default_rng(_SEED)
  samples = rng.integers(len(seeds), size=(_DRAWS, len(seeds)))
  # Few seeds make few different draws.
  unique, times = np.unique(np.sort(samples), axis=0, return_counts=True)
  resampled = [
      crossing(_resampled(values, [seeds[i] for i in row])) for row in unique
  ]
  has_crossing = np.array(
      [crossing_rules is not None for crossing_rules in resampled]
  )
  known = np.array(
      [
          crossing_rules
          for crossing_rules in resampled
          if crossing_rules is not None
      ]
  )
  if not len(known):
    return Threshold(half_point, without=1.0)
  low, high = np.quantile(np.repeat(known, times[has_crossing]), (0.025, 0.975))
  share_without = float(times[~has_crossing].sum() / _DRAWS)
  return Threshold(half_point, float(low), float(high), share_without)


def rank_correlation(means: Mapping[int, float]) -> float | None:
  """Returns Spearman's correlation of rules and accuracy; None if constant."""
  if len(set(means.values())) < 2:
    return None
  correlation: Any = stats.spearmanr([*means.keys()], [*means.values()])
  return float(correlation.statistic)


def generalized_at(curve: curves.Curve) -> int | None:
  """Returns the step of the first evaluation of 0.5 or more, or None."""
  (reached,) = np.nonzero(curve.values >= HALF)
  return int(curve.steps[reached[0]]) if len(reached) else None


def _means(values: Mapping[int, Mapping[int, float]]) -> dict[int, float]:
  """Returns means over seeds, by the number of rules."""
  return {
      rules: float(np.mean(list(by_seed.values())))
      for rules, by_seed in values.items()
  }


def _resampled(
    values: Mapping[int, Mapping[int, float]], seeds: list[int]
) -> dict[int, float]:
  """Means over the drawn seeds; rules that none of them has are left out."""
  sampled = {
      rules: [by_seed[seed] for seed in seeds if seed in by_seed]
      for rules, by_seed in values.items()
  }
  return {
      rules: float(np.mean(sample))
      for rules, sample in sampled.items()
      if sample
  }
