"""Z5: how often x occurs in training inputs (2402.10891, Table 1).

  python -m launch.sweep --config=configs/rewrites/occurrences.py:nano
  python -m zsgen.rewrites workdir/sweeps/rewrites_occurrences_nano-*

In each arm, x occurs in training inputs a fixed number of times, or a mixture
of numbers of times. In inputs of unseen rules it occurs once, twice and so on,
up to the largest of these numbers. Only the leftmost x is replaced. Expect the
mixture to be best wherever anything is learned, and the middle number to beat
the extremes.

nano has one seed; for more, pass `--config.sweep.seeds='(1, 2, 3)'`. smoke
takes 40 s on 2 CPU cores. The other tiers were not run: nano is for CPUs, mini
and paper are for an accelerator. The paper does not specify its lengths here;
500 letters are this project's choice.
"""

from typing import NamedTuple

import ml_collections

import zsgen

tiers = zsgen.load_beside(__file__, "tiers.py")


class Grid(NamedTuple):
  """The lengths and the points of a tier."""

  # Lengths of patterns and of inputs, in letters.
  pattern: int
  length: int
  # How often x occurs in an input, for each arm.
  arms: tuple[tuple[int, ...], ...]
  rules: tuple[int, ...]


_TABLE = ((1,), (10,), (20,), (1, 5, 10, 15, 20))
GRIDS = {
    "smoke": Grid(3, 18, ((1,), (1, 3, 5)), (1000,)),
    "nano": Grid(2, 16, ((1,), (3,), (5,), (1, 3, 5)), (300, 1000, 3000)),
    "mini": Grid(3, 80, _TABLE, (200, 500, 1000, 2000)),
    "paper": Grid(20, 500, _TABLE, (200, 500, 1000, 2000)),
}


def get_config(tier: str = "smoke") -> ml_collections.ConfigDict:
  """Returns a sweep over occurrences and the number of rules.

  Args:
    tier: smoke, nano, mini or paper.
  """
  config = tiers.base("occurrences", tier)
  grid = GRIDS[tier]
  tiers.lengths(config, grid.pattern, grid.length)
  if grid.pattern < 5:
    config.data.rewrites.distinct = "pair"  # There are few different x.
  largest = max(max(arm) for arm in grid.arms)
  config.data.rewrites.heldout_occurrences = tuple(range(1, largest + 1))
  points = {
      f"times{'-'.join(map(str, arm))}-rules{count}": tiers.point(
          count, occurrences=arm
      )
      for arm in grid.arms
      for count in grid.rules
  }
  return tiers.sweep(config, points, tiers.seeds(tier))
