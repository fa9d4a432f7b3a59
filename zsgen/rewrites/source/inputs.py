"""Inputs z: of exact length, with x in them as often as is asked.

An input with o copies is made of random letters into which x is put at o
random places (2402.10891 does not say how); one without is random letters, or
for a hard one an input with one copy, of which one letter is changed. What
does not have x exactly so often is drawn again.
"""

from typing import NamedTuple

import numpy as np

from zsgen.core import errors
from zsgen.rewrites.source import counters
from zsgen.rewrites.source import options as options_lib

# In place of a number of copies: none, but nearly one.
HARD = -1
# Draws of an input; and those after which an x that overlaps itself may occur
# more often than was asked.
_TRIES, _PATIENCE = 2048, 64


class Occurrences(NamedTuple):
  """The occurrences of x.

  Attributes:
    count: occurrences, those that overlap counted too, int64 [n].
    first: where the leftmost begins; -1 where there is none, int64 [n].
  """

  count: np.ndarray
  first: np.ndarray


def draw(
    x: np.ndarray,
    copies: np.ndarray,
    streams: np.ndarray,
    options: options_lib.Rewrites,
) -> np.ndarray:
  """Draws an input for each x.

  Args:
    x: letters, uint8 [n, p].
    copies: times that x occurs, or HARD, int64 [n].
    streams: of each input, uint64 [n].
    options: the config's section.

  Returns:
    uint8 [n, z_length].

  Raises:
    InputError: x cannot be kept from occurring more often.
  """
  z = np.zeros((len(x), options.z_length), np.uint8)
  left = np.arange(len(x))
  for attempt in range(_TRIES):
    tried = counters.streams(streams[left], attempt)
    for copy_count in np.unique(copies[left]):
      rows = np.flatnonzero(copies[left] == copy_count)
      z[left[rows]] = _attempt(x[left[rows]], copy_count, tried[rows], options)
    expected = np.maximum(copies[left], 0)
    left = left[find(x[left], z[left]).count != expected]
    if attempt == _PATIENCE:
      left = left[~(overlaps(x[left]) & (copies[left] > 0))]
    if not len(left):
      return z
  raise _impossible(x[left[0]], int(copies[left[0]]), options)


def find(x: np.ndarray, z: np.ndarray) -> Occurrences:
  """Finds each x in its z.

  Args:
    x: uint8 [n, p].
    z: uint8 [n, L], L >= p.
  """
  last = z.shape[1] - x.shape[1] + 1
  rows, positions = np.nonzero(z[:, :last] == x[:, :1])
  for letter in range(1, x.shape[1]):
    matches = z[rows, positions + letter] == x[rows, letter]
    rows, positions = rows[matches], positions[matches]
  first = np.full(len(x), -1)
  # Positions ascend in a row; the last one that is assigned remains.
  first[rows[::-1]] = positions[::-1]
  return Occurrences(np.bincount(rows, minlength=len(x)), first)


def overlaps(x: np.ndarray) -> np.ndarray:
  """Returns whether two occurrences of each x may overlap, bool [n]."""
  may_overlap = np.zeros(len(x), bool)
  for shift in range(1, x.shape[1]):
    may_overlap |= (x[:, shift:] == x[:, :-shift]).all(axis=1)
  return may_overlap


def _attempt(
    x: np.ndarray,
    copies: int,
    streams: np.ndarray,
    options: options_lib.Rewrites,
) -> np.ndarray:
  """Inputs into which x is put `copies` times, uint8 [n, z_length]."""
  put = 1 if copies == HARD else copies
  length, size = options.z_length, x.shape[1]
  rest = length - put * size
  letters = counters.below(streams, options.letters, rest).astype(np.uint8)
  if not put:
    return letters
  used = (rest + 1) // 2
  cuts = np.sort(counters.below(streams, rest + 1, put, used), axis=1)
  starts = cuts + size * np.arange(put)
  positions = (starts[:, :, None] + np.arange(size)).reshape(len(x), -1)
  planted = np.tile(x, put)
  if copies == HARD:
    _spoil(planted, streams, used + 1, options.letters)
  inside = np.zeros((len(x), length), bool)
  np.put_along_axis(inside, positions, True, axis=1)
  z = np.empty((len(x), length), np.uint8)
  np.put_along_axis(z, positions, planted, axis=1)
  z[~inside] = letters.ravel()
  return z


def _spoil(x: np.ndarray, streams: np.ndarray, used: int, letters: int) -> None:
  """Changes one letter of each x, [n, p], in place."""
  position = counters.below(streams, x.shape[1], 1, used)[:, 0]
  shift = 1 + counters.below(streams, letters - 1, 1, used + 1)[:, 0]
  rows = np.arange(len(x))
  x[rows, position] = (x[rows, position] + shift) % letters


def _impossible(
    x: np.ndarray, copies: int, options: options_lib.Rewrites
) -> errors.InputError:
  """Returns the error for an input that cannot be drawn."""
  text = "".join(chr(ord("a") + letter) for letter in x)
  return errors.InputError(
      f"config.data.rewrites: in {_TRIES:,} tries no input of"
      f" z_length={options.z_length} letters out of letters={options.letters}"
      f" was found that has x={text!r} {max(copies, 0)} times, no more and no"
      " less. Have more letters, longer patterns or a shorter input."
  )
