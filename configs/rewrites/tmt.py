"""The two papers joined: orders of 2406.11721 on the rewrites of 2402.10891.

  python -m launch.sweep --config=configs/rewrites/tmt.py:nano

Every rule is a task, unseen rules are the held-out ones. Each order takes a
quarter of the training examples and goes through them again and again: at
random, rule by rule in turn, nearest to the unseen rules first (TMT, by
n-grams of the prompt: rule and input, never the answer), or farthest first.
Nothing is published on this; the sweep's own table and figure compare the
orders with random. No claim is made on what comes.

smoke takes 67 s on 2 CPU cores; the others were not run: nano is for CPUs, mini
and paper for an accelerator.
"""

from typing import Any

import ml_collections

import zsgen

tiers = zsgen.load_beside(__file__, "tiers.py")

ORDERS = {
    "random": {"arrangement": "random"},
    "round_robin": {"arrangement": "round_robin"},
    "tmt_nearest": {"arrangement": "tmt", "pick": "nearest"},
    "tmt_farthest": {"arrangement": "tmt", "pick": "farthest"},
}
RULES = {"smoke": 200, "nano": 1000, "mini": 1000, "paper": 1000}
# Training examples, and those of unseen rules, which orders look at: all
# distances between the two are computed.
SIZES = {
    "smoke": (4000, 200),
    "nano": (50_000, 1000),
    "mini": (200_000, 2000),
    "paper": (200_000, 2000),
}
# An order takes one example in so many.
_POOL_RATIO = 4


def get_config(tier: str = "smoke") -> ml_collections.ConfigDict:
  """Returns a sweep over orders.

  Args:
    tier: smoke, nano, mini or paper.
  """
  config = tiers.base("tmt", tier)
  examples, unseen = SIZES[tier]
  config.data.rewrites.update(
      {"rules": RULES[tier], "examples": examples, "unseen": unseen}
  )
  config.order.embedder = "ngram"
  config.order.text = "prompt"
  budget, positions = examples // _POOL_RATIO, config.order.stop
  points = {
      name: {"order": {"parts": (_epochs(order, budget, positions),)}}
      for name, order in ORDERS.items()
  }
  return tiers.sweep(config, points, tiers.TIERS[tier].seeds)


def _epochs(
    order: dict[str, Any], budget: int, positions: int
) -> dict[str, Any]:
  """Repeats an order's examples in the same sequence."""
  return {
      "arrangement": "repeat",
      "epochs": -(-positions // budget),
      "parts": ({**order, "budget": budget},),
  }
