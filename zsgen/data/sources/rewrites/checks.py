"""What must hold of rules and examples, whatever made them.

Each check raises InputError with the numbers: a set of examples that is not
what its config says must not be trained on. Those of rules run before the
first example is made, those of examples while they are.
"""

import math

import numpy as np

from zsgen import config, errors
from zsgen.data.sources.rewrites import (
    examples,
    inputs,
    markov,
    patterns,
    serial,
)
from zsgen.data.sources.rewrites import rules as rules_lib

# Every such example is rewritten by the reference too.
_EVERY = 509
# Examples for each position, fewer say nothing on how they are spread; and
# how far from even they may be, as Cohen's w^2, beside what chance does.
_ENOUGH, _UNEVEN = 5, 0.01


def check_rules(
    train: examples.Split, unseen: examples.Split, options: config.Rewrites
) -> None:
  """Rules are distinct, as many as asked, and unseen where they are to be.

  Raises:
    InputError: says what does not hold.
  """
  kept = round(options.examples * options.subsample)
  _same(len(train.rules.x), options.rules, "training rules")
  _same(int(train.counts.sum()), kept, "training examples")
  for split in (train, unseen):
    _check_distinct(split, options.distinct)
    _check_families(split)
  known = {*_strings(train.rules.x), *_strings(train.rules.y)}
  for side in ("x", "y"):
    new = _strings(getattr(unseen.rules, side))
    shared = known.intersection(new)
    if shared:
      raise _broken(
          f"{len(shared)} patterns, such as {min(shared)!r}, are in training"
          f" rules and are {side} of unseen ones"
      )


def _check_distinct(split: examples.Split, distinct: str) -> None:
  """No rule stands twice, or no x; none changes nothing."""
  x, y = _strings(split.rules.x), _strings(split.rules.y)
  each = x if distinct == "x" else list(zip(x, y, strict=True))
  _same(len(set(each)), len(each), f"distinct rules of {split.name}")
  same = sum(left == right for left, right in zip(x, y, strict=True))
  _same(same, 0, f"rules x -> x of {split.name}")


def _check_families(split: examples.Split) -> None:
  """Each pattern is what its family makes of its base string."""
  rules = split.rules
  for position, kind in enumerate(rules.kinds):
    for side in (rules.x, rules.y):
      found = side[rules.kind == position]
      again = patterns.build(kind, patterns.base(kind, found))
      if not np.array_equal(found, again):
        raise _broken(f"patterns of {split.name} are not {kind.name}")


class Watch:
  """Takes in the blocks of a split, all of them, and checks them."""

  def __init__(self, split: examples.Split, options: config.Rewrites):
    self._split = split
    self._options = options
    self._noops = self._count = 0
    size = options.z_length - options.x_length + 1
    self._places = np.zeros(size, np.int64)

  def add(self, block: examples.Block) -> None:
    """Checks a block, and counts it.

    Raises:
      InputError: an example is not what it should be.
    """
    found = inputs.find(block.x, block.z)
    self._check_copies(block, found.count)
    z_text, targets = serial.texts(block.z), serial.targets(block)
    for at in range(int(-block.number[0] % _EVERY), len(targets), _EVERY):
      self._check_target(block, at, z_text[at], targets[at])
    noop = block.copies <= 0
    if any(
        z_text[at] != targets[at] for at in np.flatnonzero(noop)
    ):
      raise _broken(f"targets of no-ops of {self._split.name} are not z")
    self._noops += int(noop.sum())
    self._count += len(noop)
    once = found.first[(block.copies == 1) & ~inputs.overlaps(block.x)]
    self._places += np.bincount(once, minlength=len(self._places))

  def end(self) -> None:
    """Checks what holds of all examples together.

    Raises:
      InputError: the share of no-ops or the spread of positions is off.
    """
    _same(self._count, int(self._split.counts.sum()), "examples")
    share = self._noops / self._count
    wanted = self._options.noop_share
    # A rule's no-ops are a whole number: it is off by less than one.
    slack = 1e-3 + 2 * math.sqrt(len(self._split.counts)) / self._count
    if abs(share - wanted) > slack:
      raise _broken(
          f"{share:.4f} of the examples of {self._split.name} are no-ops, not"
          f" noop_share={wanted} (to {slack:.4f})"
      )
    self._check_places()

  def _check_copies(
      self, block: examples.Block, found: np.ndarray
  ) -> None:
    """x occurs as often as it should; more only if it overlaps itself."""
    wanted = np.maximum(block.copies, 0)
    wrong = (found < wanted) | ((wanted == 0) & (found > 0))
    wrong |= (found > wanted) & ~inputs.overlaps(block.x)
    if wrong.any():
      at = int(np.argmax(wrong))
      raise _broken(
          f"x occurs {found[at]} times, not {wanted[at]}, in the input"
          f" {block.number[at]} of rule {block.rule[at]} of {self._split.name}"
      )

  def _check_target(
      self, block: examples.Block, at: int, z: str, target: str
  ) -> None:
    """The target is that of the reference."""
    x, y = (serial.texts(side[at : at + 1])[0] for side in (block.x, block.y))
    expected = markov.rewrite(x, y, z)
    if x in z:
      if expected == z:
        raise _broken(f"{x} -> {y} leaves {z} as it is")
      expected = _turned(expected, self._options)
    if target != expected:
      raise _broken(f"{x} -> {y} makes {expected} of {z}, not {target}")

  def _check_places(self) -> None:
    """x is anywhere in z as often as elsewhere (chi-square)."""
    count, free = int(self._places.sum()), len(self._places) - 1
    if count < _ENOUGH * (free + 1) or not free:
      return
    even = count / (free + 1)
    found = float(((self._places - even) ** 2).sum() / even)
    most = free + 6 * math.sqrt(2 * free) + _UNEVEN * count
    if found > most:
      raise _broken(
          f"positions of x in {count:,} inputs of {self._split.name} are not"
          f" even: chi-square {found:.0f}, with {free} degrees of freedom at"
          f" most {most:.0f}"
      )


def _turned(text: str, options: config.Rewrites) -> str:
  """The text under the cipher: each letter so many further on."""
  first = ord("a")
  return "".join(
      chr((ord(c) - first + options.cipher) % options.letters + first)
      for c in text
  )


def _strings(letters: np.ndarray) -> list[str]:
  return serial.texts(letters)


def _same(found: int, wanted: int, what: str) -> None:
  if found != wanted:
    raise _broken(f"there are {found:,} {what}, not {wanted:,}")


def _broken(what: str) -> errors.InputError:
  return errors.InputError(
      f"config.data.rewrites: {what}. Nothing was written; change the options,"
      " or the seed."
  )
