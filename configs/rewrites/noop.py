"""Z2: rules that do not apply (2410.04717, Fig. 2b).

  python -m launch.sweep --config=configs/rewrites/noop.py:nano
  python -m zsgen.rewrites workdir/sweeps/rewrites_noop_nano-*

A share of the inputs, in training and in the test, has no x in it and is to be
copied. Expect the same step in the number of rules whatever the share, on
inputs that have x; copying is learned first, so that below the step the share
of no-ops is about all that is right.

smoke: 52 s on 2 CPU cores. nano: 37 minutes there, with
XLA_FLAGS=--xla_force_host_platform_device_count=2 in the environment, and on
inputs that have x 0.01, 0.75, 0.75 at 100, 300, 1,000 rules and a share of 0.1;
0.01, 0.68, 0.94 at 0.3; 0.00, 0.51, 0.62 at 0.5. It has one seed; for more give
`--config.sweep.seeds='(1, 2, 3)'`. mini and paper are for an accelerator and
were not run.
"""

import ml_collections

import zsgen

tiers = zsgen.load_beside(__file__, "tiers.py")

RULES = {
    "smoke": (1000,),
    "nano": (100, 300, 1000),
    "mini": (100, 300, 500, 1000, 3000, 10_000),
    "paper": (100, 200, 300, 400, 500, 1000, 10_000, 100_000),
}
PERCENT = {
    "smoke": (10, 50),
    "nano": (10, 30, 50),
    "mini": (10, 30, 50),
    "paper": (10, 20, 30, 40, 50),
}


def get_config(tier: str = "smoke") -> ml_collections.ConfigDict:
  """Returns a sweep over the share of no-ops and the number of rules.

  Args:
    tier: smoke, nano, mini or paper.
  """
  config = tiers.base("noop", tier)
  points = {
      f"noop{percent}-rules{count}": tiers.point(
          count, noop_share=percent / 100
      )
      for percent in PERCENT[tier]
      for count in RULES[tier]
  }
  return tiers.sweep(config, points, tiers.seeds(tier))
