"""Z1: how many distinct rules does generalization take (2402.10891, Fig. 2a)?

  python -m launch.sweep --config=configs/rewrites/diversity.py:nano
  python -m zsgen.rewrites workdir/sweeps/rewrites_diversity_nano-*

The numbers of training examples and of steps are fixed; the number I of rules
varies. With 10 rules, each has thousands of examples; with as many rules as
examples, each has one. Expect an exact match on unseen rules near 0 for small I
and high for large I, with a steep rise in between, while seen rules are solved
throughout. The position of the rise depends on lengths, model and steps: only
the tier `paper` can be compared with the published 300 to 600. `smoke` trains
too little to show anything.

smoke: 40 s on 2 CPU cores. nano: 54 minutes on 2 CPU cores, with
XLA_FLAGS=--xla_force_host_platform_device_count=2 in the environment; expect an
exact match on unseen rules of 0.00, 0.00, 0.01, 0.80 and 0.81 with 10, 30, 100,
300 and 1,000 rules. mini and paper are for an accelerator and were not run; the
paper's grid is 48 runs of about 2e17 FLOPs each.
"""

import ml_collections

import zsgen

tiers = zsgen.load_beside(__file__, "tiers.py")

RULES = {
    "smoke": (10, 1000),
    "nano": (10, 30, 100, 300, 1000),
    "mini": (10, 30, 100, 200, 300, 500, 1000, 2000, 10_000, 200_000),
    "paper": (
        *(10, 20, 50, 100, 200, 300, 400, 500, 600, 1000, 2000, 2500),
        *(5000, 10_000, 100_000, 1_000_000),
    ),
}


def get_config(tier: str = "smoke") -> ml_collections.ConfigDict:
  """Returns a sweep over the number of rules.

  Args:
    tier: smoke, nano, mini or paper.
  """
  config = tiers.base("diversity", tier)
  points = {f"rules{count}": tiers.point(count) for count in RULES[tier]}
  return tiers.sweep(config, points, tiers.TIERS[tier].seeds)
