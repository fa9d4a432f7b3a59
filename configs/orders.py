"""Compares seven orders: random, round-robin, cluster and four of TMT.

  python -m launch.sweep --config=configs/orders.py

Trains 7 orders with 3 seeds on the embedded suite, from the embedded base, and
writes a table and a figure, in 13 minutes and 1.3 GB on 2 CPU cores. With
--config.data.border=released, expect these mean held-out losses over the steps:
0.90 for random, 0.89 for round_robin, 0.93 to 0.94 for tmt_nearest,
tmt_shuffled and tmt_reversed, 1.07 for tmt_farthest and 1.55 for cluster. For
other seeds, set `--config.sweep.seeds='(100, 101, 102)'`; to run one point on a
cluster, `--point=0`.
"""

import ml_collections

from zsgen.core import config as config_lib

ORDERS = {
    "random": {"arrangement": "random"},
    "round_robin": {"arrangement": "round_robin"},
    "cluster": {"arrangement": "cluster"},
    "tmt_nearest": {"pick": "nearest", "sequence": "rounds"},
    "tmt_shuffled": {"pick": "nearest", "sequence": "shuffled"},
    "tmt_reversed": {"pick": "nearest", "sequence": "reversed"},
    "tmt_farthest": {"pick": "farthest", "sequence": "rounds"},
}


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment that all orders share, and the section `sweep`."""
  config = config_lib.defaults()
  config.name = "orders"
  config.order.arrangement = "tmt"
  config.order.budget = 1920
  for name in ("heldout", "heldout_family"):
    config.evals[name] = {"type": "loss", "split": name, "every_steps": 4}
  config.sweep = {
      "orders": ORDERS,
      "seeds": (0, 1, 2),
      "vary_heldout": True,  # A seed draws held-out examples too.
  }
  return config
