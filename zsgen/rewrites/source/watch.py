"""What must hold of examples; checked while they are made.

See `checks`: here each block is looked at, and at the end all of a split.
"""

import math

import numpy as np

from zsgen.rewrites.source import checks, examples, inputs, markov, serial
from zsgen.rewrites.source import options as options_lib

# Every such example of a block is rewritten by the reference too.
_EVERY = 509
# Examples for each position: fewer say nothing on how they are spread. And how
# far from even they may be beyond chance, as Cohen's w^2.
_ENOUGH, _UNEVEN = 5, 0.01


class Watch:
  """Takes in the blocks of a split, all of them, and checks them."""

  def __init__(self, split: examples.Split, options: options_lib.Rewrites):
    self._split = split
    self._options = options
    self._noops = self._count = 0
    size = options.z_length - options.x_length + 1
    self._positions = np.zeros(size, np.int64)

  def add(self, block: examples.Block) -> None:
    """Checks a block, and counts it.

    Raises:
      InputError: an example is not what it should be.
    """
    occurrences = inputs.find(block.x, block.z)
    self._check_copies(block, occurrences.count)
    z_text, targets = serial.texts(block.z), serial.targets(block)
    for index in range(0, len(targets), _EVERY):
      self._check_target(block, index, z_text[index], targets[index])
    noop = block.copies <= 0
    if any(z_text[index] != targets[index] for index in np.flatnonzero(noop)):
      raise checks.make_error(
          f"targets of no-ops of {self._split.name} are not z"
      )
    self._noops += int(noop.sum())
    self._count += len(noop)
    once = occurrences.first[(block.copies == 1) & ~inputs.overlaps(block.x)]
    self._positions += np.bincount(once, minlength=len(self._positions))

  def end(self) -> None:
    """Checks what holds of all examples together.

    Raises:
      InputError: the share of no-ops or the spread of positions is off.
    """
    checks.check_equal(self._count, int(self._split.counts.sum()), "examples")
    share = self._noops / self._count
    expected = self._options.noop_share
    # A rule's no-ops are a whole number: it is off by less than one.
    slack = 1e-3 + 2 * math.sqrt(len(self._split.counts)) / self._count
    if abs(share - expected) > slack:
      raise checks.make_error(
          f"{share:.4f} of the examples of {self._split.name} are no-ops, not"
          f" noop_share={expected} (to {slack:.4f})"
      )
    self._check_positions()

  def _check_copies(self, block: examples.Block, counts: np.ndarray) -> None:
    """x occurs as often as it should; more only if it overlaps itself."""
    expected = np.maximum(block.copies, 0)
    wrong = (counts < expected) | ((expected == 0) & (counts > 0))
    wrong |= (counts > expected) & ~inputs.overlaps(block.x)
    if wrong.any():
      index = int(np.argmax(wrong))
      raise checks.make_error(
          f"x occurs {counts[index]} times, not {expected[index]}, in the input"
          f" {block.number[index]} of rule {block.rule[index]} of"
          f" {self._split.name}"
      )

  def _check_target(
      self, block: examples.Block, index: int, z: str, target: str
  ) -> None:
    """The target is that of the reference."""
    x, y = (
        serial.texts(side[index : index + 1])[0] for side in (block.x, block.y)
    )
    expected = markov.rewrite(x, y, z)
    if x in z:
      if expected == z:
        raise checks.make_error(f"{x} -> {y} leaves {z} as it is")
      expected = _turned(expected, self._options)
    if target != expected:
      raise checks.make_error(
          f"{x} -> {y} makes {expected} of {z}, not {target}"
      )

  def _check_positions(self) -> None:
    """x is anywhere in z as often as elsewhere (chi-square)."""
    count, free = int(self._positions.sum()), len(self._positions) - 1
    if count < _ENOUGH * (free + 1) or not free:
      return
    even = count / (free + 1)
    statistic = float(((self._positions - even) ** 2).sum() / even)
    limit = free + 6 * math.sqrt(2 * free) + _UNEVEN * count
    if statistic > limit:
      raise checks.make_error(
          f"positions of x in {count:,} inputs of {self._split.name} are not"
          f" even: chi-square {statistic:.0f}, with {free} degrees of freedom"
          f" at most {limit:.0f}"
      )


def _turned(text: str, options: options_lib.Rewrites) -> str:
  """The text under the cipher: each letter so many further on."""
  first = ord("a")
  return "".join(
      chr((ord(c) - first + options.cipher) % options.letters + first)
      for c in text
  )
