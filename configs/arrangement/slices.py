"""E7: training on early or late rounds of TMT alone (sec. 4.2).

  python -m launch.sweep --config=configs/arrangement/slices.py:nano \
    --config.data.path=CLONE
  python -m zsgen.reports arrangement workdir

Each run trains on five consecutive rounds of nearest picks. Published final
losses, from the earliest rounds to the latest: 0.61, 0.62, 0.65, 0.68, 0.69,
0.68 (R12). All slices are cut to the same number of examples, so that all runs
have the same number of steps.

smoke: 6 runs of 10 steps, about 2 minutes of CPU time.
nano: 18 runs of 40 steps, estimated 2.5 hours on 2 CPU cores.
"""

import ml_collections

import zsgen

tiers = zsgen.load_beside(__file__, "tiers.py")


def get_config(tier: str = "smoke") -> ml_collections.ConfigDict:
  """Returns a sweep over six slices of five rounds.

  Args:
    tier: smoke, nano, mini or paper.
  """
  config = tiers.base("slices", tier)
  budget = tiers.choose(tier).slice_budget
  orders = {}
  for first in range(0, 30, 5):
    rounds = tiers.tmt(-1, rounds=(first, first + 5))
    orders[f"r{first}_{first + 5}"] = {
        "arrangement": "take",
        "stop": budget,
        "parts": (rounds,),
    }
  return tiers.sweep_orders(config, orders, tier)
