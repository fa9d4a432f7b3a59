"""How many examples each rule has."""

import numpy as np

from zsgen.rewrites.source import counters
from zsgen.rewrites.source import options as options_lib

# Logarithm of the smallest weight: float64 has no much smaller numbers.
_LEAST = -700.0


def of_rules(options: options_lib.Rewrites, seed: int) -> np.ndarray:
  """Counts the training examples of each rule.

  All rules have as many, the remainder goes to the lowest; or they have a
  power law's: weights U^(1/shape), that is numpy's `power(shape)`, where U is
  uniform (2402.10891, section 4.4). Of these a sub-sample may be kept, evenly
  or by a power law of its own (Fig. 5, right).

  Returns:
    int64 [rules].
  """
  weights = _weights(options.power_law, options.rules, seed, "weights")
  counts = apportion(weights, options.examples)
  if options.subsample == 1.0:
    return counts
  total = round(options.examples * options.subsample)
  shape = options.subsample_power_law
  weights = _weights(shape, options.rules, seed, "subsample")
  return apportion(weights, total, counts)


def apportion(
    weights: np.ndarray, total: int, limits: np.ndarray | None = None
) -> np.ndarray:
  """Apportions a total in proportion to weights, by largest remainder.

  Args:
    weights: more than 0, float64 [n].
    total: their sum; at most that of `limits`.
    limits: the largest counts; any excess goes to the others.

  Returns:
    int64 [n]; of equal remainders the lowest are rounded up.
  """
  limits = np.full(len(weights), total) if limits is None else limits
  counts = np.zeros(len(weights), np.int64)
  # Those that would have more than they may have all of it, until none would.
  full = np.zeros(len(weights), bool)
  while True:
    free = np.where(full, 0.0, weights)
    rest = total - int(limits[full].sum())
    quota = free / free.sum() * rest if rest else np.zeros(len(weights))
    exceeds = (quota > limits) & ~full
    if not exceeds.any():
      break
    full |= exceeds
  counts = np.where(full, limits, np.floor(quota).astype(np.int64))
  missing = total - int(counts.sum())
  remainders = np.where(counts < limits, quota - np.floor(quota), -1.0)
  counts[np.argsort(-remainders, kind="stable")[:missing]] += 1
  return counts


def effective(counts: np.ndarray) -> float:
  """Returns the number of equally frequent rules of the same entropy."""
  share = counts[counts > 0] / counts.sum()
  return float(np.exp(-(share * np.log(share)).sum()))


def _weights(shape: float, count: int, seed: int, purpose: str) -> np.ndarray:
  """A weight for each rule, more than 0; the largest is 1."""
  if not shape:
    return np.ones(count)
  rule_streams = counters.streams(counters.key(seed, purpose), np.arange(count))
  logs = np.log(counters.uniform(rule_streams)) / shape
  return np.exp(np.maximum(logs - logs.max(), _LEAST))
