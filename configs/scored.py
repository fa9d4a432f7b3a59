"""Sorts examples by the model's own losses, before or also during training.

  python -m launch.sweep --config=configs/scored.py

Trains 5 orders with 3 seeds on the embedded suite, from the embedded base, for
60 steps each. All of them have the same 960 examples: in random order; easiest
first and hardest first, by the losses of the base; and the latter two with the
remaining examples sorted again at steps 20 and 40, by the losses at that step.
docs/beyond.md has the curves.
"""

import ml_collections

from zsgen.core import config as config_lib

EASY = {"arrangement": "scored", "score": "loss", "sequence": "ascending"}
HARD = {"arrangement": "scored", "score": "loss", "sequence": "descending"}
ORDERS = {
    "random": {"arrangement": "random"},
    "easy_first": EASY,
    "hard_first": HARD,
    "easy_first_remade": {**EASY, "remake_every": 20},
    "hard_first_remade": {**HARD, "remake_every": 20},
}


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment that all points share, and the section `sweep`."""
  config = config_lib.defaults()
  config.name = "scored"
  config.data.train_instances = 20  # 51 tasks: 1,020 losses.
  config.order.embedder = ""
  config.order.arrangement = "random"
  config.order.budget = 960
  for name in ("heldout", "heldout_family"):
    config.evals[name] = {"type": "loss", "split": name, "every_steps": 5}
  config.sweep = {"orders": ORDERS, "seeds": (0, 1, 2)}
  return config
