"""The two papers combined: orders of 2406.11721 on the rewrites of 2402.10891.

  python -m launch.sweep --config=configs/rewrites/tmt.py:nano

Each rule is a task, and the unseen rules are the held-out tasks. Each order
selects a quarter of the training examples and repeats them in the same
sequence: at random, round robin over the rules, nearest to the unseen rules
first (TMT, by n-grams of the prompt, which is rule and input but never the
answer), or farthest first. Nothing is published on this, and no particular
result is expected; the sweep's own table and figure compare the orders with
random.

smoke takes 67 s on 2 CPU cores. The other tiers were not run: nano is for CPUs,
mini and paper are for an accelerator.
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
# Training examples, and the examples of unseen rules that orders use: all
# distances between the two are computed.
SIZES = {
    "smoke": (4000, 200),
    "nano": (50_000, 1000),
    "mini": (200_000, 2000),
    "paper": (200_000, 2000),
}
# An order selects one example in this many.
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
  """Returns an order whose examples are repeated in the same sequence."""
  return {
      "arrangement": "repeat",
      "epochs": -(-positions // budget),
      "parts": ({**order, "budget": budget},),
  }
