"""E9: orders for one held-out task each (released code only).

  python -m launch.sweep --config=configs/arrangement/specialist.py:nano \
    --config.data.path=CLONE
  python -m zsgen.reports arrangement workdir

For each of three held-out tasks, compares TMT towards that task alone with a
uniform draw; the held-out set has only that task. Nothing is published about
these orders, and no target is about them.

smoke: 6 runs of 20 steps, which evaluate all held-out tasks of the suite, about
2 minutes of CPU time.
nano: 18 runs of 60 steps, estimated 3 hours on 2 CPU cores.
"""

import ml_collections

import zsgen

tiers = zsgen.load_beside(__file__, "tiers.py")

TASKS = {
    "smoke": ("sum_three", "letter_last", "kind_food"),
    "nano": (
        "task1344_glue_entailment_classification",
        "task190_snli_classification",
        "task1612_sick_label_classification",
    ),
    "paper": (
        "super_glue/multirc:1.0.2",
        "task050_multirc_answerability",
        "task851_synthetic_multiply_evens",
    ),
}
TASKS["mini"] = TASKS["nano"]


def get_config(tier: str = "smoke") -> ml_collections.ConfigDict:
  """Returns a sweep over three tasks and two orders.

  Args:
    tier: smoke, nano, mini or paper.
  """
  config = tiers.base("specialist", tier)
  config.data.heldout_instances = 100 if tier != "smoke" else 5
  budget = tiers.choose(tier).budget
  points = {}
  for number, task in enumerate(TASKS[tier]):
    data = {}
    if tier != "smoke":  # The suite's held-out tasks are fixed.
      data = {"heldout": {"heldout": {"tasks": (task,)}}}
    for arm, order in (
        ("NFT", tiers.tmt(budget, target_task=task)),
        ("uniform", tiers.uniform(budget)),
    ):
      points[f"task{number}-{arm}"] = {"data": data, "order": order}
  return tiers.sweep_points(config, points, tier)
