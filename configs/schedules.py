"""Crosses three orders with three schedules, and averages parameters.

  python -m launch.sweep --config=configs/schedules.py

Trains 9 points with 3 seeds on the embedded suite, from the embedded base: 27
runs of 120 steps, in 20 minutes on 2 cores. In addition to the parameters,
their exponential moving average and the mean of their last 5 snapshots are
evaluated (`heldout@ema`, `heldout@mean`). docs/beyond.md has the tables; expect
a final loss of 0.698 for `random` with the cosine schedule.
"""

import ml_collections

from zsgen.core import config as config_lib

ORDERS = {
    "random": {"arrangement": "random"},
    "nearest": {"pick": "nearest"},
    "farthest": {"pick": "farthest"},
}
SCHEDULES = {
    "constant": {"schedule": "constant"},
    "cosine": {"schedule": "cosine"},
    "wsd": {"schedule": "wsd", "decay_share": 0.2},
}


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment that all points share, and the section `sweep`."""
  config = config_lib.defaults()
  config.name = "schedules"
  config.order.arrangement = "tmt"
  config.order.budget = 1920
  config.train.update(ema=0.9, mean_of=5, mean_every=4)
  config.sweep = {
      "points": {
          # "random", with the default schedule, is the reference.
          order
          if name == "cosine"
          else f"{order}_{name}": {
              "order": options,
              "train": schedule,
          }
          for order, options in ORDERS.items()
          for name, schedule in SCHEDULES.items()
      },
      "seeds": (0, 1, 2),
  }
  return config
