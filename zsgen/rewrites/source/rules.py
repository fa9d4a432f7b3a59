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
_EFFORT, _MORE = 64, 1024
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
  """The kinds of rules of a split."""
  families, ks = options.families, options.ks
  if split != suite.TRAIN:
    families = options.heldout_families or families
    ks = options.heldout_ks or ks
  return patterns.kinds(families, ks)


def draw(
    options: options_lib.Rewrites, split: str, seed: int, count: int
) -> Rules:
  """The first rules of a split.

  Args:
    options: the config's section.
    split: "train", or another name for rules that are unseen in training.
    seed: draws them.
    count: number of rules.

  Raises:
    InputError: the alphabet and lengths do not give so many.
  """
  found, marks, drawn = [], np.zeros(0, np.uint64), 0
  while len(marks) < count:
    if drawn > _EFFORT * count + _MORE:
      raise _too_few(len(marks), count, drawn, options, split)
    candidates = np.arange(drawn, drawn + min(_BLOCK, 2 * count + 64))
    drawn += len(candidates)
    made, valid = _candidates(options, split, seed, candidates)
    (rows,) = np.nonzero(valid)
    mark = _marks(made, options.distinct)[rows]
    _, first = np.unique(mark, return_index=True)
    first = np.sort(first[~np.isin(mark[first], marks)])
    first = first[: count - len(marks)]
    marks = np.concatenate([marks, mark[first]])
    found.append([column[rows[first]] for column in made[:3]])
  x, y, kind = map(np.concatenate, zip(*found, strict=True))
  return Rules(x, y, kind, made.kinds)


def _candidates(
    options: options_lib.Rewrites, split: str, seed: int, numbers: np.ndarray
) -> tuple[Rules, np.ndarray]:
  """Candidates by number, and which of them are rules of the split."""
  known = kinds(options, split)
  made = Rules(
      np.zeros((len(numbers), options.x_length), np.uint8),
      np.zeros((len(numbers), options.y_length), np.uint8),
      numbers % len(known),
      known,
  )
  valid = np.ones(len(numbers), bool)
  for position, kind in enumerate(known):
    (rows,) = np.nonzero(made.kind == position)
    for side, into in (("x", made.x), ("y", made.y)):
      into[rows], right = _patterns(
          options, split, seed, side, kind, numbers[rows]
      )
      valid[rows] &= right
  if options.x_length == options.y_length:
    valid &= (made.x != made.y).any(axis=1)
  return made, valid


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
  made = np.zeros((len(numbers), length), np.uint8)
  left = np.arange(len(numbers))
  for attempt in range(_TRIES):
    drawn = counters.below(
        counters.streams(stream[left], attempt),
        options.letters,
        length // kind.k,
    )
    made[left] = patterns.build(kind, drawn.astype(np.uint8))
    unseen = patterns.withheld(made[left], options.withheld, withheld)
    left = left[unseen != (split != suite.TRAIN)]
    if not len(left):
      break
  return made, ~np.isin(np.arange(len(numbers)), left)


def _marks(rules: Rules, distinct: str) -> np.ndarray:
  """Numbers that are equal where rules are not distinct, uint64 [n]."""
  mark = patterns.marks(rules.x)
  if distinct == "x":
    return mark
  return counters.streams(mark, patterns.marks(rules.y))


def pool(options: options_lib.Rewrites, split: str) -> str:
  """What there is to make rules of, and how to have more of it: for errors."""
  share = 1 - options.withheld if split == suite.TRAIN else options.withheld
  said = (
      f"with letters={options.letters}, x_length={options.x_length},"
      f" y_length={options.y_length} and {share:.0%} of the patterns for"
      f" {split} (withheld={options.withheld}). Ask for fewer, change withheld,"
      " have longer patterns or more letters"
  )
  if options.distinct == "pair":
    return f"{said}."
  return f"{said}, or count pairs of x and y, distinct='pair'."


def _too_few(
    found: int,
    count: int,
    drawn: int,
    options: options_lib.Rewrites,
    split: str,
) -> errors.InputError:
  return errors.InputError(
      f"config.data.rewrites: of {count:,} distinct rules of {split}"
      f" {found:,} were found among {drawn:,} drawn, {pool(options, split)}"
  )
