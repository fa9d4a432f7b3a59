"""Follows 24 training examples: what a step memorises, and what is forgotten.

  python -m launch.sweep --config=configs/probe.py

Trains two orders with 3 seeds on the embedded suite, from the embedded base,
for 60 steps each. The losses of the sample are evaluated every 5 steps, and
right before and right after each step that consumes one of its examples.
docs/beyond.md has the figure.
"""

import ml_collections

from zsgen.core import config as config_lib

ORDERS = {
    "random": {"arrangement": "random"},
    "cluster": {"arrangement": "cluster"},
}


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment that all points share, and the section `sweep`."""
  config = config_lib.defaults()
  config.name = "probe"
  config.data.train_instances = 20
  config.order.embedder = ""
  config.order.arrangement = "random"
  config.order.budget = 960
  config.evals.heldout = {"type": "loss", "split": "heldout", "every_steps": 5}
  config.probe.update(examples=24, every_steps=5)
  config.sweep = {"orders": ORDERS, "seeds": (0, 1, 2)}
  return config
