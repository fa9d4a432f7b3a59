"""Z3: a few rules have most of the examples (2410.04717, Fig. 3).

  python -m launch.sweep --config=configs/rewrites/powerlaw.py:nano
  python -m zsgen.rewrites workdir/sweeps/rewrites_powerlaw_nano-* \\
      workdir/sweeps/rewrites_diversity_nano-*

The number of examples per rule follows a power law: the smaller its shape, the
more uneven the numbers; with shape 0 they are even. Expect accuracy to follow
the effective number of rules (exp of the entropy of their shares) where that
crosses the threshold of the tier: with the smaller number of rules, accuracy
falls as the shape does; with the larger number, it hardly falls. The report
takes the threshold from runs of `diversity.py`, so pass it both sweeps. The two
numbers of rules are meant to be 2.5 and 25 times the threshold, which is 200 in
nano (docs/rewrites.md), and in mini a guess until `diversity.py` has run there.

smoke: 40 s on 2 CPU cores. nano: 48 minutes on 2 CPU cores that also did other
work, with XLA_FLAGS=--xla_force_host_platform_device_count=2; expect 0.94,
0.62, 0.28, 0.04 and 0.00 for 500 rules, from even to a shape of 0.03, and 0.76
to 0.84 for 5,000. It has one seed; for more, pass
`--config.sweep.seeds='(1, 2, 3)'`. mini and paper are for an accelerator and
were not run.
"""

import ml_collections

import zsgen

tiers = zsgen.load_beside(__file__, "tiers.py")

RULES = {
    "smoke": (1000,),
    "nano": (500, 5000),
    "mini": (1000, 10_000),
    "paper": (1000, 10_000, 100_000),
}
SHAPES = {
    "smoke": (0.0, 0.1),
    "nano": (0.0, 0.5, 0.2, 0.1, 0.03),
    "mini": (0.0, 2.0, 0.5, 0.2, 0.1, 0.03),
    "paper": (0.0, 2.0, 1.0, 0.5, 0.2, 0.1, 0.07, 0.03),
}


def get_config(tier: str = "smoke") -> ml_collections.ConfigDict:
  """Returns a sweep over the power law's shape and the number of rules.

  Args:
    tier: smoke, nano, mini or paper.
  """
  config = tiers.base("powerlaw", tier)
  points = {
      _name(shape, count): tiers.point(count, power_law=shape)
      for shape in SHAPES[tier]
      for count in RULES[tier]
  }
  return tiers.sweep(config, points, tiers.seeds(tier))


def _name(shape: float, count: int) -> str:
  """Returns a point's name, which may not contain dots."""
  return f"shape{shape:g}-rules{count}".replace(".", "_")
