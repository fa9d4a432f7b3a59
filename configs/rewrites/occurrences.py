"""Z5: how often x is in the inputs of training (2402.10891, Table 1).

  python -m launch.sweep --config=configs/rewrites/occurrences.py:nano
  python -m zsgen.rewrites workdir/sweeps/rewrites_occurrences_nano-*

Inputs of training have x so often, or a mixture of counts; those of unseen
rules have it once up to the most. Only the leftmost is replaced. Expect the
mixture to be best wherever anything is learned, and the middle count to beat
the extremes.

nano has one seed; for more give `--config.sweep.seeds='(1, 2, 3)'`. smoke takes
40 s on 2 CPU cores; the others were not run: nano is for CPUs, mini and paper
for an accelerator. The paper does not tell its lengths here; 500 letters are
this project's choice.
"""

from typing import NamedTuple

import ml_collections

import zsgen

tiers = zsgen.load_beside(__file__, "tiers.py")


class Grid(NamedTuple):
  """What a tier has."""

  # Letters of patterns and of inputs.
  pattern: int
  length: int
  # How often x is in an input, for each arm.
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
    config.data.rewrites.distinct = "pair"  # There are few x.
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
