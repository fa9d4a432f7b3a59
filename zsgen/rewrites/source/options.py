"""The options of the source rewrites."""

import dataclasses
from typing import Any

from zsgen.core import config
from zsgen.core.schema import option, section

# Bounds that several options have, and the reason.
_STORED: dict[str, Any] = dict(high=10**8, why="all of them are stored")
_LETTERS: dict[str, Any] = dict(high=2**14, why="no model reads longer texts")


@dataclasses.dataclass(frozen=True)
class Rewrites:
  """The source rewrites: "replace x by y in z" (2402.10891); docs/data.md."""

  # Distinct training rules x -> y, a task each: the paper's I.
  rules: int = option(1000, low=1, **_STORED)
  # Training examples of all rules together: the paper's N.
  examples: int = option(100_000, low=1, **_STORED)
  # What is distinct of distinct rules: x, or the pair of x and y.
  distinct: str = option("x", choices=("x", "pair"))
  # The alphabet: the first so many of a to z.
  letters: int = option(26, low=2, high=26)
  # Letters of x.
  x_length: int = option(20, low=1, **_LETTERS)
  # Letters of y.
  y_length: int = option(20, low=1, **_LETTERS)
  # Letters of the input z.
  z_length: int = option(50, low=1, **_LETTERS)
  # How often x is in z, in equal shares; only the leftmost is replaced.
  occurrences: tuple[int, ...] = option((1,), low=1)
  # Share of examples, of every set, whose input has no x.
  noop_share: float = option(0.0, low=0.0, high=1.0)
  # Share of those whose input has all of x but one letter.
  hard_share: float = option(0.0, low=0.0, high=1.0)
  # Shape of the power law of examples a rule; 0: all have as many.
  power_law: float = option(0.0, low=0.0)
  # Share of the training examples that is kept.
  subsample: float = option(1.0, low=0.0, high=1.0)
  # Shape of the power law by which rules keep them; 0: all keep as many.
  subsample_power_law: float = option(0.0, low=0.0)
  # What x and y are made like, in equal shares; () for strings of random
  # letters.
  families: tuple[str, ...] = option((), choices=("repeat", "period", "mirror"))
  # The k of the families, in equal shares.
  ks: tuple[int, ...] = option((), low=1)
  # What is replaced is then shifted by so many letters, all of it; 0: not.
  cipher: int = option(0, low=0, high=25)
  # Held-out examples of unseen rules.
  unseen: int = option(10_000, low=1, **_STORED)
  # Held-out examples of each unseen rule.
  unseen_each: int = option(1, low=1, **_STORED)
  # Held-out examples of seen rules.
  seen: int = option(10_000, low=0, **_STORED)
  # Share of all patterns that only unseen rules have.
  withheld: float = option(0.25, low=0.01, high=0.99)
  # The families of unseen rules; () for those of training.
  heldout_families: tuple[str, ...] = option(
      (), choices=("repeat", "period", "mirror")
  )
  # The k of unseen rules; () for that of training.
  heldout_ks: tuple[int, ...] = option((), low=1)
  # How often x is in z in examples of unseen rules; () for as in training.
  heldout_occurrences: tuple[int, ...] = option((), low=1)


@dataclasses.dataclass(frozen=True)
class Options(config.Data):
  """What the source adds to `config.data`."""

  # Which rules, inputs and held-out sets.
  rewrites: Rewrites = section(Rewrites)

  def check(self, location: str) -> None:
    """Raises InputError for numbers that contradict each other."""
    del location
    from zsgen.rewrites.source import limits  # Imports this module.

    limits.check(self)
