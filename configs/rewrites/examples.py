"""Rules versus examples per rule: Z1 with several numbers of examples.

  python -m launch.sweep --config=configs/rewrites/examples.py:nano
  python -m zsgen.rewrites workdir/sweeps/rewrites_examples_nano-*

Like `diversity.py`, but the number of training examples varies too, with the
same number of steps: fewer examples are repeated more often. The report draws a
heat map of the two. According to the papers, the number of rules matters and
the number of examples per rule does not; to the extent that this holds here,
expect columns of one colour.

nano has one seed; for more, pass `--config.sweep.seeds='(1, 2, 3)'`. smoke
takes 41 s on 2 CPU cores. The other tiers were not run: nano is for CPUs, mini
and paper are for an accelerator.
"""

from typing import Any

import ml_collections

import zsgen

tiers = zsgen.load_beside(__file__, "tiers.py")

RULES = {
    "smoke": (1000,),
    "nano": (30, 100, 300, 1000),
    "mini": (30, 100, 300, 1000, 3000, 10_000),
    "paper": (100, 300, 500, 1000, 10_000),
}
# Shares of the tier's examples.
PARTS = {
    "smoke": (0.25, 1.0),
    "nano": (0.1, 0.3, 1.0),
    "mini": (0.1, 0.3, 1.0),
    "paper": (0.1, 0.3, 1.0),
}


def get_config(tier: str = "smoke") -> ml_collections.ConfigDict:
  """Returns a sweep over the numbers of rules and of examples.

  Args:
    tier: smoke, nano, mini or paper.
  """
  config = tiers.base("examples", tier)
  total, positions = config.data.rewrites.examples, config.order.stop
  points = {
      f"examples{count}-rules{rules}": _point(rules, count, positions)
      for count in (round(total * part) for part in PARTS[tier])
      for rules in RULES[tier]
  }
  return tiers.sweep(config, points, tiers.seeds(tier))


def _point(rules: int, examples: int, positions: int) -> dict[str, Any]:
  """Returns a point; its order has `positions` positions."""
  return {
      **tiers.point(rules, examples=examples),
      "order": tiers.order(examples, positions),
  }
