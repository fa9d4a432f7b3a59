"""Tests two reasons why nearest first does not win on the embedded suite.

  python -m launch.sweep --config=configs/far_pool.py
  python -m zsgen.reports arrangement workdir

There are two pools. `near` is the suite, where every held-out task has
siblings. `far` has 150 more families of three tasks on made-up languages, which
have nothing to do with any held-out task, so that nine out of ten examples are
far. Each pool has five orders:

  uniform        drawn from the whole pool with equal probability
  near_rounds    TMT, nearest first; a round is sorted by id, and so by task
  near_mixed     the same rounds, each of them shuffled
  near_shuffled  the examples of near_rounds in random order
  far_rounds     TMT, farthest first

If the pool is the reason, near_rounds beats uniform in `far`; if sorted rounds
are the reason, near_mixed beats near_rounds. Expect these mean held-out losses
over the steps: in `far`, 0.84 to 0.85 for near_rounds, near_mixed and
near_shuffled, 1.50 for uniform and 2.58 for far_rounds; in `near`, 0.81 for
uniform, 0.82 to 0.84 for the near orders and 0.95 for far_rounds.
docs/orders.md discusses these results.

30 runs of 120 steps with seeds 0, 1 and 2 take 27 minutes on 2 CPU cores that
also do other work. For other seeds, set
`--config.sweep.seeds='(100, 101, 102)'`; to run one point, `--point=0`.
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
      "vary_heldout": True,  # A seed draws held-out examples too.
  }
  return config
