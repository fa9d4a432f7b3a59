"""Z4: rules of restricted kinds, tested on free ones (2410.04717, Fig. 4).

  python -m launch.sweep --config=configs/rewrites/semantics.py:nano
  python -m zsgen.rewrites workdir/sweeps/rewrites_semantics_nano-*

Training patterns repeat letters, repeat a base or mirror it, with k from 3 to
the highest k; unseen rules have a k of 1 (free) or 2. Expect nothing from one
or two families; from three families, expect an accuracy that increases with the
number of rules and decreases with the highest k. One and two families are
trained only with the widest range of k and the largest number of rules.

nano has one seed; for more, pass `--config.sweep.seeds='(1, 2, 3)'`. smoke
takes 44 s on 2 CPU cores. The other tiers were not run: nano is for CPUs, mini
and paper are for an accelerator. Because the paper's inputs have 500 letters, a
run of that tier costs about eight times as much as one of `diversity.py`.
"""

import itertools
from typing import NamedTuple

import ml_collections

import zsgen
from zsgen.rewrites.source import patterns

tiers = zsgen.load_beside(__file__, "tiers.py")

FAMILIES = ("repeat", "period", "mirror")
_FEWER = tuple(
    families
    for size in (1, 2)
    for families in itertools.combinations(FAMILIES, size)
)


class Grid(NamedTuple):
  """The lengths and the points of a tier."""

  # Lengths in letters of patterns, which k divides, and of inputs.
  pattern: int
  length: int
  # The highest k of each range.
  highest: tuple[int, ...]
  rules: tuple[int, ...]
  # Sets of one and two families, which are compared with all three.
  fewer: tuple[tuple[str, ...], ...] = _FEWER


GRIDS = {
    "smoke": Grid(6, 12, (6,), (1000,), (("repeat",),)),
    "nano": Grid(6, 16, (3, 6), (300, 1000, 3000)),
    "mini": Grid(12, 60, (3, 4, 6, 12), (500, 1000, 5000, 10_000)),
    "paper": Grid(60, 500, (4, 6, 12, 20, 30, 60), (500, 1000, 5000, 10_000)),
}


def get_config(tier: str = "smoke") -> ml_collections.ConfigDict:
  """Returns a sweep over families, the highest k and the number of rules.

  Args:
    tier: smoke, nano, mini or paper.
  """
  config = tiers.base("semantics", tier)
  grid = GRIDS[tier]
  tiers.lengths(config, grid.pattern, grid.length)
  # The highest k has few different x, so rules differ in pairs of x and y.
  config.data.rewrites.distinct = "pair"
  config.data.rewrites.heldout_families = FAMILIES
  config.data.rewrites.heldout_ks = (1, 2)
  arms = [(FAMILIES, k, count) for k in grid.highest for count in grid.rules]
  widest, largest = grid.highest[-1], grid.rules[-1]
  arms += [(families, widest, largest) for families in grid.fewer]
  points = {
      f"{'-'.join(families)}-k{k}-rules{count}": tiers.point(
          count, families=families, ks=patterns.divisors(grid.pattern, 3, k)
      )
      for families, k, count in arms
  }
  return tiers.sweep(config, points, tiers.seeds(tier))
