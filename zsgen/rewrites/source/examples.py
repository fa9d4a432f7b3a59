"""Examples by number: rules, inputs and targets, a block at a time."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from zsgen.rewrites.source import counters, inputs
from zsgen.rewrites.source import options as options_lib
from zsgen.rewrites.source import rules as rules_lib

# Examples of a block: what they need stays in the processor's cache.
SIZE = 4096


class Split(NamedTuple):
  """The rules of a split and their examples.

  Attributes:
    name: "train", "unseen" or "seen".
    rules: its rules, [R].
    counts: examples of each rule, int64 [R].
    copies: how often x occurs in inputs that have it.
  """

  name: str
  rules: rules_lib.Rules
  counts: np.ndarray
  copies: tuple[int, ...]


class Block(NamedTuple):
  """Examples that follow each other, rule by rule.

  Attributes:
    rule: position of the rule in the split, int64 [n].
    number: the example's among those of its rule, int64 [n].
    copies: how often x was put into z; 0 for a no-op, or `inputs.HARD`.
    x: letters 0 … 25, uint8 [n, x_length].
    y: uint8 [n, y_length].
    z: uint8 [n, z_length].
    first: where x begins in z; -1 for a no-op, int64 [n].
    target: uint8 [n, longest]; what is beyond a target's length is 0.
    lengths: of the targets, int64 [n].
  """

  rule: np.ndarray
  number: np.ndarray
  copies: np.ndarray
  x: np.ndarray
  y: np.ndarray
  z: np.ndarray
  first: np.ndarray
  target: np.ndarray
  lengths: np.ndarray


def blocks(
    split: Split,
    options: options_lib.Rewrites,
    seed: int,
    first: int = 0,
    stop: int | None = None,
    size: int = SIZE,
) -> Iterator[Block]:
  """Yields the examples first … stop - 1 of a split.

  An example is a function of the seed, the split's name, its rule and its
  number: the same in every block, and among more rules or more examples.

  Args:
    split: rules and counts.
    options: the config's section.
    seed: draws inputs.
    first: where to begin.
    stop: where to end; None: with the last.
    size: examples of a block.

  Raises:
    InputError: see `inputs.draw`.
  """
  ends = np.cumsum(split.counts)
  stop = int(ends[-1]) if stop is None else stop
  for begin in range(first, stop, size):
    indices = np.arange(begin, min(begin + size, stop))
    rule = np.searchsorted(ends, indices, side="right")
    number = indices - (ends - split.counts)[rule]
    yield build_block(split, options, seed, rule, number)


def build_block(
    split: Split,
    options: options_lib.Rewrites,
    seed: int,
    rule: np.ndarray,
    number: np.ndarray,
) -> Block:
  """Builds the examples of these rules with these numbers, int64 [n]."""
  copies = _copies(split, options, seed, rule, number)
  x, y = split.rules.x[rule], split.rules.y[rule]
  key = counters.key(seed, split.name, "z")
  z = inputs.draw(x, copies, counters.streams(key, rule, number), options)
  first = inputs.find(x, z).first
  target, lengths = rewrite(x, y, z, first)
  if options.cipher:
    turned = (target + np.uint8(options.cipher)) % np.uint8(options.letters)
    is_used = np.arange(target.shape[1]) < lengths[:, None]
    target = np.where(is_used & (first >= 0)[:, None], turned, target)
  return Block(rule, number, copies, x, y, z, first, target, lengths)


def rewrite(
    x: np.ndarray, y: np.ndarray, z: np.ndarray, first: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Puts y for x, once.

  Args:
    x: uint8 [n, p].
    y: uint8 [n, q].
    z: uint8 [n, L].
    first: where x begins; -1: z stays as it is, int64 [n].

  Returns:
    Targets, uint8 [n, max(L, L - p + q)] with 0 at the end of shorter ones,
    and their lengths, int64 [n].
  """
  length, size, put = z.shape[1], x.shape[1], y.shape[1]
  changed = np.flatnonzero(first >= 0)
  target = z.copy() if size == put else _moved(z, first, size, put)
  columns = first[changed][:, None] + np.arange(put)
  target[changed[:, None], columns] = y[changed]
  return target, np.where(first < 0, length, length - size + put)


def _moved(z: np.ndarray, first: np.ndarray, size: int, put: int) -> np.ndarray:
  """Inputs in which what stands behind x makes room, uint8 [n, longest]."""
  count, length = z.shape
  longest = max(length, length - size + put)
  positions = np.arange(longest)
  begins = np.where(first < 0, longest, first)[:, None]
  # A column of 0 stands for what is beyond z.
  padded = np.concatenate([z, np.zeros((count, 1), np.uint8)], axis=1)
  source = np.where(positions < begins, positions, positions + size - put)
  return np.take_along_axis(padded, np.minimum(source, length), axis=1)


def noops(
    options: options_lib.Rewrites,
    seed: int,
    rule: np.ndarray,
    count: np.ndarray,
) -> np.ndarray:
  """Counts no-ops among the first `count` examples of each rule, int64 [n].

  They are spread evenly over a rule's examples; rules begin at offsets that
  are spread evenly too, so that the share holds where a rule has one example.
  """
  key = counters.key(seed, "noop")
  begin = counters.spread(key, rule, counters.GOLDEN)
  return np.floor(count * options.noop_share + begin).astype(np.int64)


def _copies(
    split: Split,
    options: options_lib.Rewrites,
    seed: int,
    rule: np.ndarray,
    number: np.ndarray,
) -> np.ndarray:
  """How often x stands in each input; 0 for no-ops, HARD for hard ones."""
  before = noops(options, seed, rule, number)
  noop = noops(options, seed, rule, number + 1) > before
  key = counters.key(seed, "hard")
  begin = counters.spread(key, rule, counters.ROOT)
  share = options.hard_share
  hard = np.floor((before + 1) * share + begin) > np.floor(
      before * share + begin
  )
  turn = counters.streams(counters.key(seed, "copies"), rule)
  shift = counters.below(turn, len(split.copies), 1)[:, 0]
  operation = number - before
  copies = np.array(split.copies)[(operation + shift) % len(split.copies)]
  return np.where(noop, np.where(hard, inputs.HARD, 0), copies)
