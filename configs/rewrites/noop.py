"""Z2: rules that do not apply (2410.04717, Fig. 2b).

  python -m launch.sweep --config=configs/rewrites/noop.py:nano
  python -m zsgen.rewrites workdir/sweeps/rewrites_noop_nano-*

A share of the inputs, in training and evaluation, contains no x and is to be
copied. On inputs that contain x, expect the transition at the same number of
rules whatever the share. Copying is learned first, so that below the transition
the accuracy is about the share of no-ops.

smoke: 52 s on 2 CPU cores. nano: 37 minutes on 2 CPU cores, with
XLA_FLAGS=--xla_force_host_platform_device_count=2 in the environment; on inputs
that contain x, expect an exact match of 0.01, 0.75 and 0.75 with 100, 300 and
1,000 rules and a share of 0.1; of 0.01, 0.68 and 0.94 with 0.3; of 0.00, 0.51
and 0.62 with 0.5. nano has one seed; for more, pass
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
