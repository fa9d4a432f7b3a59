"""E1: when does generalization happen, and by which metric (sec. 2)?

  python -m launch.sweep --config=configs/arrangement/early.py:nano \
    --config.data.path=CLONE
  python -m zsgen.reports arrangement workdir

Random order, with an evaluation of the loss and of written answers (ROUGE-1,
ROUGE-L, exact match) every few steps. Published: at least 80% of the fall of
the loss comes in the first 50 of 1,800 steps (R1), scores jump as early and
then vary without a trend (R2). `released_border` leaves the space before an
answer at the end of the prompt, as the released code does; part of the early
fall is then the tokenizer's.

With a reward model, the answers also have rewards, which rise and level off
(R3), and are higher for correct answers than for wrong ones (R4):

  --config=configs/arrangement/early.py:paper,openbmb/UltraRM-13b

That is a directory in Hugging Face's layout with safetensors, or a name on the
hub. For a model with a chat template of its own, add

  --config.evals.written.form=template

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


def get_config(argument: str = "smoke") -> ml_collections.ConfigDict:
  """Returns a sweep over data sets and both borders.

  Args:
    argument: smoke, nano, mini or paper; and a comma and a reward model, to
      have the answers scored by it.
  """
  tier, _, reward_model = argument.partition(",")
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
  if reward_model:
    config.evals.written = {
        **config.evals.written,
        "type": "reward",
        "reward_model": reward_model,
        "form": "ultra",
    }
  points = {}
  for data, options in DATA[tier].items():
    points[f"{data}-random"] = {"data": {**options, "border": "answer"}}
  first = next(iter(DATA[tier]))
  points[f"{first}_released_border-random"] = {"data": {"border": "released"}}
  return tiers.sweep_points(config, points, tier)
