"""E5: sorting instances (fine) or whole tasks (coarse) by WSD (sec. 3.2.2).

  python -m launch.sweep --config=configs/arrangement/granularity.py:nano \
    --config.data.path=CLONE
  python -m zsgen.reports arrangement workdir

Both orders have the same examples, nearest first. Published final losses: fine
0.94, coarse 1.06, down from 2.35; between steps 45 and 230 of 1,800, coarse has
the lower loss (R9).

smoke: 2 runs of 20 steps, about 50 seconds of CPU time.
nano: 6 runs of 60 steps, estimated 80 minutes on 2 CPU cores.
"""

import ml_collections

import zsgen

tiers = zsgen.load_beside(__file__, "tiers.py")


def get_config(tier: str = "smoke") -> ml_collections.ConfigDict:
  """Returns a sweep over both granularities.

  Args:
    tier: smoke, nano, mini or paper.
  """
  config = tiers.base("granularity", tier)
  if tier == "paper":
    tiers.sample_each_task(config)
  granularities = {"fine": "instance", "coarse": "task"}
  orders = {
      name: tiers.within_few_tasks(
          {
              "arrangement": "similarity",
              "measure": "wsd",
              "granularity": granularity,
              "as_released": tier == "paper",
          },
          tier,
      )
      for name, granularity in granularities.items()
  }
  return tiers.sweep_orders(config, orders, tier)
