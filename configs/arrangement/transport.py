"""E9: sorting by the cost of an optimal-transport plan (released code only).

  python -m launch.sweep --config=configs/arrangement/transport.py:nano \
    --config.data.path=CLONE
  python -m zsgen.reports arrangement workdir

Near, random and far first, as in wsd.py, with the same examples in all three
orders. They are sorted by the cost at which the plan moves each example to the
held-out set. Nothing is published about these orders, and no target is about
them.

smoke: 3 runs of 20 steps, about 70 seconds of CPU time.
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
  config = tiers.base("transport", tier)
  if tier == "paper":
    tiers.sample_each_task(config)
  orders = tiers.near_random_far(tier, arrangement="transport")
  return tiers.sweep_orders(config, orders, tier)
