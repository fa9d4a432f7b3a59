"""Forks one run into several orders of the examples that it has not consumed.

  python -m zsgen.main --config=configs/tmt.py --config.name=parent \\
      --config.order.arrangement=random --config.machine.keep_steps='(60,)'
  python -m launch.sweep --config=configs/forks.py \\
      --config.fork=workdir/runs/parent-4c49fd1dd8@60

The first command trains the parent for 120 steps, in the directory that the
second command names. The second command continues the parent's state at step 60
for 60 steps under each of 4 orders with 3 seeds, on the same data.
"""

import ml_collections

from zsgen.core import config as config_lib

ORDERS = {
    "random": {"arrangement": "random"},
    "cluster": {"arrangement": "cluster"},
    "tmt_nearest": {"pick": "nearest"},
    "tmt_farthest": {"pick": "farthest"},
}


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment that all forks share, and the section `sweep`."""
  config = config_lib.defaults()
  config.name = "forks"
  config.data.seed = 0  # The parent's, whatever the seed of the order.
  config.order.arrangement = "tmt"
  config.order.budget = 960
  for name in ("heldout", "heldout_family"):
    config.evals[name] = {"type": "loss", "split": name, "every_steps": 5}
  config.sweep = {"orders": ORDERS, "seeds": (0, 1, 2)}
  return config
