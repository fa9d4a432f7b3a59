"""E6: TMT's near, random and far orders on three data sets (sec. 4.1).

  python -m launch.sweep --config=configs/arrangement/tmt.py:nano \
    --config.data.path=CLONE
  python -m zsgen.reports arrangement workdir

NFT, RT and FFT as in settings.py, on as many data sets as the tier has. For
paper, three data sets have a path each:

  --config.sweep.points.flan_mini-NFT.data.path=DIR

Published losses (Flan-mini, step 890 of 1,800): NFT 0.51, RT 0.63, FFT 0.84,
from 3.14 (R10); on ShareGPT and NoRobots NFT is the lowest throughout, by 2% and
0.5% (R11).

smoke: 3 runs of 20 steps.
"""

import pathlib
import runpy
import types

import ml_collections

# Beside this file, from whatever directory it is started.
_FILE = pathlib.Path(__file__).with_name("tiers.py")
tiers = types.SimpleNamespace(**runpy.run_path(str(_FILE)))

_ARMS = ("NFT", "RT", "FFT")
# Conversations have no tasks; a share of them is held out.
_CHAT = {
    "source": "chat",
    "heldout": {"heldout": {"share": 0.05}},
    "train_instances": 1_000_000,
    "heldout_instances": 200,
    "template": "chat",
}
DATA = {
    "smoke": {"synth": {}},
    "nano": {"niv2": {}},
    "mini": {"niv2": {}},
    "paper": {"flan_mini": {}, "sharegpt": _CHAT, "no_robots": _CHAT},
}
# Published runs on conversations: 300 and 350 steps.
_BUDGETS = {"sharegpt": 4800, "no_robots": 5600}


def get_config(tier: str = "smoke") -> ml_collections.ConfigDict:
  """Returns a sweep over data sets and the three settings.

  Args:
    tier: smoke, nano, mini or paper.
  """
  config = tiers.base("tmt", tier)
  points = {}
  for data, options in DATA[tier].items():
    for arm in _ARMS:
      order = dict(tiers.settings(tier)[arm])
      if data in _BUDGETS:
        order["budget"] = _BUDGETS[data]
      points[f"{data}-{arm}"] = {"data": options, "order": order}
  return tiers.sweep_points(config, points, tier)
