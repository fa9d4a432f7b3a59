"""Why nearest first does not win on the embedded suite: two reasons, tested.

  python -m launch.sweep --config=configs/far_pool.py
  python -m zsgen.reports arrangement workdir

Two pools: `near` is the suite, where every held-out task has siblings; `far`
has 150 more families of three tasks on made-up languages, which have nothing to
do with a held-out task, so that nine of ten examples are far. Five orders each:

  uniform        drawn from the whole pool with equal probability
  near_rounds    TMT, nearest first; a round is sorted by id, and so by task
  near_mixed     the same rounds, shuffled within
  near_shuffled  the examples of near_rounds in random order
  far_rounds     TMT, farthest first

If the pool is the reason, near_rounds beats uniform in `far`; if sorted rounds
are, near_mixed beats near_rounds. Expect as mean held-out loss over the steps,
in `far`: near_rounds, near_mixed and near_shuffled 0.84 to 0.85, uniform 1.50,
far_rounds 2.58; in `near`: uniform 0.81, the near ones 0.82 to 0.84, far_rounds
0.95. docs/orders.md says what follows.

30 runs of 120 steps with seeds 0, 1 and 2: 27 minutes on 2 CPU cores beside
other work. For other seeds, set `--config.sweep.seeds='(100, 101, 102)'`; to
run one point, `--point=0`.
"""

import ml_collections

from zsgen.core import config as config_lib

BUDGET = 1920
POOLS = {"near": 0, "far": 150}
_UNIFORM = {
    "arrangement": "take",
    "stop": BUDGET,
    "parts": ({"arrangement": "random", "budget": -1},),
}
_TMT = {"arrangement": "tmt", "budget": BUDGET}
ORDERS = {
    "uniform": _UNIFORM,
    "near_rounds": _TMT,
    "near_mixed": {**_TMT, "in_round": "shuffled"},
    "near_shuffled": {**_TMT, "sequence": "shuffled"},
    "far_rounds": {**_TMT, "pick": "farthest"},
}


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment that all points share, and the section `sweep`."""
  config = config_lib.defaults()
  config.name = "arrangement_pool_embedded"
  config.order.budget = BUDGET
  config.evals.heldout.every_steps = 4
  config.sweep = {
      "points": {
          f"{pool}-{arm}": {"data": {"far_families": families}, "order": order}
          for pool, families in POOLS.items()
          for arm, order in ORDERS.items()
      },
      "seeds": (0, 1, 2),
      "vary_heldout": True,  # A seed draws the whole suite.
  }
  return config
