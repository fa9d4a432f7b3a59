"""E1: when does generalization happen, and by which metric (sec. 2)?

  python -m launch.sweep --config=configs/arrangement/early.py:nano \
    --config.data.path=CLONE
  python -m zsgen.reports arrangement workdir

Random order, with an evaluation of the loss and of written answers (ROUGE-1,
ROUGE-L, exact match) every few steps. Published: at least 80% of the fall of
the loss comes in the first 50 of 1,800 steps (R1), scores jump as early and
then vary without a trend (R2). `released_border` leaves the space before an
answer at the end of the prompt, as the released code does; part of the early
fall is then the tokenizer's. Rewards are not evaluated (R3, R4).

For mini and paper, three data sets have a path each:

  --config.sweep.points.p3-random.data.path=DIR

smoke: 2 runs of 40 steps.
"""

import ml_collections

import zsgen

tiers = zsgen.load_beside(__file__, "tiers.py")

# Data sets beside the tier's own.
_P3 = {
    "source": "p3",
    "prompt": "joined",
    "train_instances": 100,
    "truncate": "prompt",
}
_NIV2 = {"source": "niv2", "prompt": "niv2", "train_instances": 100}
_FLAN_MINI = {"source": "flan_mini", "draw": "first_shuffle"}
DATA = {
    "smoke": {"synth": {}},
    "nano": {"niv2": {}},
    "mini": {"niv2": {}, "p3": _P3, "flan_mini": _FLAN_MINI},
    "paper": {"flan_mini": {}, "p3": _P3, "niv2": _NIV2},
}


def get_config(tier: str = "smoke") -> ml_collections.ConfigDict:
  """Returns a sweep over data sets and both borders.

  Args:
    tier: smoke, nano, mini or paper.
  """
  config = tiers.base("early", tier)
  # Twice the steps of the other experiments: the onset is 3% of them.
  config.order = {
      **tiers.uniform(2 * tiers.choose(tier).budget),
      "embedder": "",
  }
  config.evals.written = {
      "type": "generate",
      "max_examples": 120,
      "every_steps": tiers.choose(tier).every,
  }
  points = {}
  for data, options in DATA[tier].items():
    points[f"{data}-random"] = {"data": {**options, "border": "answer"}}
  first = next(iter(DATA[tier]))
  points[f"{first}_released_border-random"] = {"data": {"border": "released"}}
  return tiers.sweep_points(config, points, tier)
