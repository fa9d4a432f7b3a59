"""Random numbers by counter: a pure function of a key and of indices.

SplitMix64 (Steele et al., 2014), vectorised: a number depends on where it
stands, not on what was drawn before, so that any block of examples can be made
on its own. The same bytes on every machine and version of NumPy.
"""

import numpy as np

from zsgen.core import artifacts

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
# Fractions of the golden ratio and of the root of 2, times 2^64.
GOLDEN, ROOT = _GAMMA, np.uint64(0x6A09E667F3BCC909)


def key(seed: int, *purpose: str) -> np.ndarray:
  """Returns a separate stream for a purpose, uint64 []."""
  return np.array(
      int(artifacts.digest(["rewrites", seed, *purpose])[:16], 16), np.uint64
  )


def mixed(values: np.ndarray) -> np.ndarray:
  """Applies SplitMix64's finalizer: uint64 to uint64, one to one."""
  values = values ^ (values >> np.uint64(30))
  values *= _FIRST
  values ^= values >> np.uint64(27)
  values *= _SECOND
  values ^= values >> np.uint64(31)
  return values


def streams(key: np.ndarray, *indices: np.ndarray | int) -> np.ndarray:
  """Returns a stream for each tuple of indices.

  Args:
    key: uint64, of a shape that goes with those of the indices.
    indices: integers, 0 or more; the last may be one number for all.

  Returns:
    uint64 of the common shape.
  """
  for index in indices:
    steps = np.atleast_1d(np.asarray(index)).astype(np.uint64) + np.uint64(1)
    key = mixed(key + steps * _GAMMA)
  return key


def words(streams: np.ndarray, count: int, first: int = 0) -> np.ndarray:
  """Returns the words first … first + count - 1 of each stream.

  Args:
    streams: uint64 [n].
    count: words of each.
    first: how many are passed over.

  Returns:
    uint64 [n, count].
  """
  steps = np.arange(first + 1, first + count + 1, dtype=np.uint64) * _GAMMA
  return mixed(streams[:, None] + steps)


def below(
    streams: np.ndarray, limit: int, count: int, first: int = 0
) -> np.ndarray:
  """Draws numbers 0 … limit - 1, equally likely up to limit / 2^32.

  Args:
    streams: uint64 [n].
    limit: 1 to 2^31.
    count: numbers of each stream; two are made of a word.
    first: words that are passed over.

  Returns:
    int64 [n, count].
  """
  random_words = words(streams, (count + 1) // 2, first)
  # Little-endian, so that halves come in one sequence on every machine.
  halves = random_words.astype("<u8", copy=False).view("<u4")[:, :count]
  scaled = halves * np.uint64(limit) >> np.uint64(32)
  return scaled.astype(np.int64)


def uniform(streams: np.ndarray) -> np.ndarray:
  """Draws a number in (0, 1] for each stream, float64 [n]."""
  bits = words(streams, 1)[:, 0] >> np.uint64(11)
  return (bits.astype(np.float64) + 1.0) * 2.0**-53


def spread(
    key: np.ndarray, indices: np.ndarray, ratio: np.uint64
) -> np.ndarray:
  """Returns numbers that fill [0, 1) evenly as the index grows.

  Multiples of an irrational number: among any n that follow each other, the
  share below a bound is off by the order of log(n) / n. Two ratios together
  fill the square.

  Args:
    key: shifts all of them, uint64 [].
    indices: int64 [n].
    ratio: GOLDEN or ROOT.

  Returns:
    float64 [n], multiples of 2^-32.
  """
  turned = key + indices.astype(np.uint64) * ratio
  return (turned >> np.uint64(32)).astype(np.float64) * 2.0**-32
