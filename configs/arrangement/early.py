"""E1: when does generalization happen, and by which metric (sec. 2)?

  python -m launch.sweep --config=configs/arrangement/early.py:nano \
    --config.data.path=CLONE
  python -m zsgen.reports arrangement workdir

Trains in random order, and evaluates the loss and written answers (ROUGE-1,
ROUGE-L, exact match) every few steps. Published: at least 80% of the drop in
loss happens in the first 50 of 1,800 steps (R1), on Natural Instructions from
4.06 to 0.95. Scores increase just as early, ROUGE-L from 0.09 to 0.39, and then
vary without a trend (R2). The arm `released_border` leaves the space before an
answer at the end of the prompt, as the released code does; part of its early
drop is due to tokenization.

Tasks with short answers are learned first (R5). With a reward model, answers
also have rewards, which increase and level off (R3), and are higher for correct
answers than for wrong ones (R4):

  --config=configs/arrangement/early.py:paper,openbmb/UltraRM-13b

The reward model is a directory in Hugging Face's layout with safetensors, or a
name on the hub. If it has a chat template of its own, add

  --config.evals.written.form=template

mini and paper have three data sets. Give the path of each instead of
--config.data.path:

  --config=configs/arrangement/early.py:mini,niv2=CLONE,p3=DIR,flan_mini=DIR

smoke: 2 runs of 40 steps, 80 seconds of CPU time.
nano: 6 runs of 120 steps with written answers, not measured yet.
"""

from collections.abc import Mapping
from typing import Any

import ml_collections

import zsgen
from zsgen.core import errors

tiers = zsgen.load_beside(__file__, "tiers.py")

# The first share of the steps, in which R1 looks for the drop in loss.
_ONSET = 0.03
# Data sets other than the tier's own. The paper used two devices for these.
_P3 = {
    "source": "p3",
    "prompt": "joined",
    "train_instances": 100,
    "truncate": "prompt",
}
_NIV2 = {
    "source": "niv2",
    "prompt": "niv2",
    "label": "random",
    "train_instances": 100,
}
_FLAN_MINI = {"source": "flan_mini", "draw": "first_shuffle"}
# Options of written answers by tier: in smoke few and short ones, because an
# untrained model does not end them; in paper drawn as in the released code.
_WRITTEN = {
    "smoke": {"max_examples": 15, "max_new_tokens": 16},
    "paper": {"max_examples": 120, "draw": 0, "decoding": "released"},
}
_TWO_DEVICES = {"train": {"loss_groups": 2}}
# Options by tier and data set; the first data set is the tier's own.
DATA = {
    "smoke": {"synth": {}},
    "nano": {"niv2": {}},
    "mini": {
        "niv2": {},
        "p3": {"data": _P3},
        "flan_mini": {"data": _FLAN_MINI},
    },
    "paper": {
        "flan_mini": {},
        "p3": {"data": _P3, "order": tiers.uniform(28_480), **_TWO_DEVICES},
        "niv2": {"data": _NIV2, "order": tiers.uniform(30_000), **_TWO_DEVICES},
    },
}


def get_config(argument: str = "smoke") -> ml_collections.ConfigDict:
  """Returns a sweep over data sets and both borders.

  Args:
    argument: smoke, nano, mini or paper; then, separated by commas, DATA=PATH
      for the path of a data set, and a reward model that scores the answers.

  Raises:
    InputError: the tier has no such data set.
  """
  tier, *items = argument.split(",")
  paths = dict(item.split("=", 1) for item in items if "=" in item)
  config = tiers.base("early", tier)
  known = DATA[tier]
  for data in paths:
    errors.choose(known, data, "the data set, --config=FILE:TIER,DATA=PATH")
  steps = _set_order(config, tier) // config.train.batch_size
  every = tiers.choose(tier).every
  interval = min(every, max(1, int(_ONSET * steps)))
  config.evals.heldout.every_steps = config.order.trace_every = interval
  config.evals.written = {
      "type": "generate",
      "every_steps": every,
      **_WRITTEN.get(tier, {"max_examples": 120}),
  }
  reward_model = ",".join(item for item in items if "=" not in item)
  if reward_model:
    config.evals.written = {
        **config.evals.written,
        "type": "reward",
        "reward_model": reward_model,
        "form": "ultra",
    }
  first = next(iter(known))
  points = {
      f"{data}-random": _point(options, "answer", paths.get(data))
      for data, options in known.items()
  }
  points[f"{first}_released_border-random"] = _point(
      known[first], "released", paths.get(first)
  )
  return tiers.sweep_points(config, points, tier)


def _set_order(config: ml_collections.ConfigDict, tier: str) -> int:
  """Sets random order; returns the number of examples.

  In the tier paper, they are the examples of `pilot`. In other tiers there are
  twice as many as in other experiments, because the onset is 3% of the steps.
  """
  if tier == "paper":
    tiers.sample_first(config)
    config.order = {"arrangement": "random", "as_released": True}
    config.order.embedder = ""
    return 28_751
  budget = 2 * tiers.choose(tier).budget
  config.order = {**tiers.uniform(budget), "embedder": ""}
  return budget


def _point(
    options: Mapping[str, Any], border: str, path: str | None
) -> dict[str, Any]:
  """Returns the options of a data set, with a border and, if given, a path."""
  data = {**options.get("data", {}), "border": border}
  return {**options, "data": data if path is None else {**data, "path": path}}
