"""Patterns: the strings that rules are made of, and their families.

A family constrains a pattern by a k that divides its length (2410.04717,
section 2.3.4; 2402.10891, section 4.3): it is made of a random base string of
length / k letters.
  repeat  each letter k times          k = 3: aaabbbccc
  period  the base k times             k = 2: abcabc
  mirror  base, its reverse, base, …   k = 3: abccbaabc
k = 1 is an unconstrained pattern in all three, here the family "random".
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from zsgen.rewrites.source import counters

RANDOM = "random"
_ODD = np.uint64(0xD6E8FEB86659FD93)


class Kind(NamedTuple):
  """A family and its k."""

  family: str
  k: int

  @property
  def name(self) -> str:
    """As a task's category says it."""
    return self.family if self.k == 1 else f"{self.family}-{self.k}"


def kinds(families: Sequence[str], ks: Sequence[int]) -> list[Kind]:
  """Returns each family with each k; k = 1 once only."""
  if not families:
    return [Kind(RANDOM, 1)]
  combinations = [
      Kind(family if k > 1 else RANDOM, k) for k in ks for family in families
  ]
  return list(dict.fromkeys(combinations))


def divisors(length: int, low: int = 1, high: int | None = None) -> tuple:
  """Returns the k from low to high that divide a length, ascending."""
  top = length if high is None else min(high, length)
  return tuple(k for k in range(low, top + 1) if length % k == 0)


def build(kind: Kind, base: np.ndarray) -> np.ndarray:
  """Builds the patterns of base strings.

  Args:
    kind: the family and k.
    base: letters, uint8 [n, b].

  Returns:
    uint8 [n, b * k].
  """
  if kind.family == "repeat":
    return np.repeat(base, kind.k, axis=1)
  turned = base[:, ::-1] if kind.family == "mirror" else base
  blocks = [turned if block % 2 else base for block in range(kind.k)]
  return np.concatenate(blocks, axis=1)


def base(kind: Kind, patterns: np.ndarray) -> np.ndarray:
  """Returns the base strings of patterns of a kind, uint8 [n, b]."""
  if kind.family == "repeat":
    return patterns[:, :: kind.k]
  return patterns[:, : patterns.shape[1] // kind.k]


def marks(patterns: np.ndarray) -> np.ndarray:
  """Returns a number for each pattern; equal patterns have equal ones.

  Args:
    patterns: letters, uint8 [n, p].

  Returns:
    uint64 [n]; two patterns have the same by chance once in 2^64.
  """
  hashes = np.full(len(patterns), patterns.shape[1], np.uint64)
  for column in patterns.T:
    hashes = hashes * _ODD + column + np.uint64(1)
  return counters.mixed(hashes)


def withheld(patterns: np.ndarray, share: float, key: np.ndarray) -> np.ndarray:
  """Returns whether only unseen rules may have a pattern.

  It depends on the pattern alone, not on the other rules: neither set of rules
  changes with the size of the other.

  Args:
    patterns: letters, uint8 [n, p].
    share: of all patterns, 0 to 1.
    key: decides which, uint64 [].

  Returns:
    bool [n].
  """
  bits = counters.mixed(marks(patterns) ^ key) >> np.uint64(11)
  return bits.astype(np.float64) * 2.0**-53 < share
