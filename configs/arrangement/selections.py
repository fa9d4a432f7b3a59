"""E9: selections from each task: polar, uniform, first (released code only).

  python -m launch.sweep --config=configs/arrangement/selections.py:nano \
    --config.data.path=CLONE
  python -m zsgen.reports arrangement workdir

  polar    the nearest and the farthest examples of each task
  uniform  every n-th example of each task, by distance
  first    the first examples of each task

Each selection is then sorted by WSD, nearest first, and cut to the same length.
Nothing is published about these selections, and no target is about them.

smoke: 3 runs of 20 steps, about 70 seconds of CPU time.
nano: 9 runs of 60 steps, estimated 2 hours on 2 CPU cores.
"""

import ml_collections

import zsgen

tiers = zsgen.load_beside(__file__, "tiers.py")


def get_config(tier: str = "smoke") -> ml_collections.ConfigDict:
  """Returns a sweep over the selections.

  Args:
    tier: smoke, nano, mini or paper.
  """
  config = tiers.base("selections", tier)
  budget = tiers.choose(tier).budget
  wsd = {"arrangement": "similarity", "measure": "wsd", "budget": -1}
  farthest = {**wsd, "pick": "farthest"}
  ends = tiers.concatenate(_take(wsd, stop=10), _take(farthest, stop=10))
  orders = {
      "polar": _sorted(ends, wsd, budget),
      "uniform": _sorted(_take(wsd, spread=20), wsd, budget),
      "first": _take({**wsd, "per_task": 20}, stop=budget),
  }
  return tiers.sweep_orders(config, orders, tier)


def _sorted(selection: dict, wsd: dict, budget: int) -> dict:
  """Returns a selection from each task, all of it sorted, and cut."""
  by_task = {"arrangement": "by_task", "parts": (selection,)}
  return _take({"arrangement": "within", "parts": (by_task, wsd)}, stop=budget)


def _take(part: dict, **options: int) -> dict:
  return {"arrangement": "take", "parts": (part,), **options}
