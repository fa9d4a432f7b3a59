"""Rules x -> y by number: those of I are the first I of any more.

Candidates come in a fixed sequence, in which kinds take turns; a rule is the
next candidate that differs from all before it. Where a kind has no more rules
to give, the others go on.
"""

from typing import NamedTuple

import numpy as np

from zsgen.core import errors
from zsgen.data import suite
from zsgen.rewrites.source import counters, patterns
from zsgen.rewrites.source import options as options_lib

# Candidates that are made at once; at most so many for each wanted rule, and
# some more.
_BLOCK = 1 << 15
_EFFORT, _EXTRA_EFFORT = 64, 1024
# Draws of a candidate's pattern until one is on its side of the split.
_TRIES = 512


class Rules(NamedTuple):
  """Some rules, all of one split.

  Attributes:
    x: what is searched, letters 0 … 25, uint8 [n, x_length].
    y: what stands for it, uint8 [n, y_length].
    kind: position in `kinds` of each rule's, int64 [n].
    kinds: families and their k.
  """

  x: np.ndarray
  y: np.ndarray
  kind: np.ndarray
  kinds: list[patterns.Kind]


def kinds(options: options_lib.Rewrites, split: str) -> list[patterns.Kind]:
  """Returns the kinds of rules of a split."""
  families, ks = options.families, options.ks
  if split != suite.TRAIN:
    families = options.heldout_families or families
    ks = options.heldout_ks or ks
  return patterns.kinds(families, ks)


def draw(
    options: options_lib.Rewrites, split: str, seed: int, count: int
) -> Rules:
  """Draws the first rules of a split.

  Args:
    options: the config's section.
    split: "train", or another name for rules that are unseen in training.
    seed: draws them.
    count: number of rules.

  Raises:
    InputError: the alphabet and lengths do not give so many.
  """
  columns, marks, drawn_count = [], np.zeros(0, np.uint64), 0
  while len(marks) < count:
    if drawn_count > _EFFORT * count + _EXTRA_EFFORT:
      raise _too_few(len(marks), count, drawn_count, options, split)
    candidates = np.arange(
        drawn_count, drawn_count + min(_BLOCK, 2 * count + 64)
    )
    drawn_count += len(candidates)
    batch, valid = _candidates(options, split, seed, candidates)
    (rows,) = np.nonzero(valid)
    mark = _marks(batch, options.distinct)[rows]
    _, first = np.unique(mark, return_index=True)
    first = np.sort(first[~np.isin(mark[first], marks)])
    first = first[: count - len(marks)]
    marks = np.concatenate([marks, mark[first]])
    columns.append([column[rows[first]] for column in batch[:3]])
  x, y, kind = map(np.concatenate, zip(*columns, strict=True))
  return Rules(x, y, kind, batch.kinds)


def _candidates(
    options: options_lib.Rewrites, split: str, seed: int, numbers: np.ndarray
) -> tuple[Rules, np.ndarray]:
  """Candidates by number, and which of them are rules of the split."""
  known = kinds(options, split)
  candidates = Rules(
      np.zeros((len(numbers), options.x_length), np.uint8),
      np.zeros((len(numbers), options.y_length), np.uint8),
      numbers % len(known),
      known,
  )
  valid = np.ones(len(numbers), bool)
  for position, kind in enumerate(known):
    (rows,) = np.nonzero(candidates.kind == position)
    for side, column in (("x", candidates.x), ("y", candidates.y)):
      column[rows], right = _patterns(
          options, split, seed, side, kind, numbers[rows]
      )
      valid[rows] &= right
  if options.x_length == options.y_length:
    valid &= (candidates.x != candidates.y).any(axis=1)
  return candidates, valid


def _patterns(
    options: options_lib.Rewrites,
    split: str,
    seed: int,
    side: str,
    kind: patterns.Kind,
    numbers: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
  """A pattern for each number, and whether it is on the split's side."""
  length = options.x_length if side == "x" else options.y_length
  stream = counters.streams(counters.key(seed, split, side), numbers)
  withheld = counters.key(seed, "withheld")
  drawn_patterns = np.zeros((len(numbers), length), np.uint8)
  left = np.arange(len(numbers))
  for attempt in range(_TRIES):
    bases = counters.below(
        counters.streams(stream[left], attempt),
        options.letters,
        length // kind.k,
    )
    drawn_patterns[left] = patterns.build(kind, bases.astype(np.uint8))
    unseen = patterns.withheld(drawn_patterns[left], options.withheld, withheld)
    left = left[unseen != (split != suite.TRAIN)]
    if not len(left):
      break
  return drawn_patterns, ~np.isin(np.arange(len(numbers)), left)


def _marks(rules: Rules, distinct: str) -> np.ndarray:
  """Numbers that are equal where rules are not distinct, uint64 [n]."""
  mark = patterns.marks(rules.x)
  if distinct == "x":
    return mark
  return counters.streams(mark, patterns.marks(rules.y))


def pool(options: options_lib.Rewrites, split: str) -> str:
  """Describes the pool of rules and how to enlarge it, for errors."""
  share = 1 - options.withheld if split == suite.TRAIN else options.withheld
  description = (
      f"with letters={options.letters}, x_length={options.x_length},"
      f" y_length={options.y_length} and {share:.0%} of the patterns for"
      f" {split} (withheld={options.withheld}). Ask for fewer, change withheld,"
      " have longer patterns or more letters"
  )
  if options.distinct == "pair":
    return f"{description}."
  return f"{description}, or count pairs of x and y, distinct='pair'."


def _too_few(
    rule_count: int,
    count: int,
    drawn_count: int,
    options: options_lib.Rewrites,
    split: str,
) -> errors.InputError:
  """Returns the error for rules that are too few to be distinct."""
  return errors.InputError(
      f"config.data.rewrites: of {count:,} distinct rules of {split}"
      f" {rule_count:,} were found among {drawn_count:,} drawn,"
      f" {pool(options, split)}"
  )
