"""E2: round robin, random and cluster: does order alone matter (sec. 3.1)?

  python -m launch.sweep --config=configs/arrangement/pilot.py:nano \
    --config.data.path=CLONE
  python -m zsgen.reports arrangement workdir

The three orders have the same examples. Published: round robin and random
behave alike; under cluster, the loss of a held-out task drops when its nearest
sibling is trained on (R6), for one task from 3.08 at step 100 to 1.64 at step
160 of 1,800. Tasks differ in how their loss drops (R14, which has no rule: see
the panels of tasks).

In the tiers below `paper`, the orders have 20 examples of each of as many tasks
as the budget has room for.

smoke: 3 runs of 20 steps, 70 seconds of CPU time.
nano: 9 runs of 60 steps, estimated 2 hours on 2 CPU cores.
"""

import ml_collections

import zsgen

tiers = zsgen.load_beside(__file__, "tiers.py")


def get_config(tier: str = "smoke") -> ml_collections.ConfigDict:
  """Returns a sweep over the three orders.

  Args:
    tier: smoke, nano, mini or paper.
  """
  config = tiers.base("pilot", tier)
  orders = {
      name: tiers.within_few_tasks(
          {"arrangement": name, "as_released": tier == "paper"}, tier
      )
      for name in ("round_robin", "random", "cluster")
  }
  if tier == "paper":
    tiers.sample_first(config)
  return tiers.sweep_orders(config, orders, tier)
