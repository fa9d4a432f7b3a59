"""E6: TMT's near, random and far orders (sec. 4.1).

  python -m launch.sweep --config=configs/arrangement/tmt.py:nano \
    --config.data.path=CLONE
  python -m zsgen.reports arrangement workdir

NFT, RT and FFT are those of settings.py. Published losses (Flan-mini, step 890
of 1,800): NFT 0.51, RT 0.63, FFT 0.84, down from 3.14 (R10). On ShareGPT and
NoRobots, which have no tasks, NFT has the lowest loss throughout, by 2% and
0.5% (R11). The tiers `sharegpt` and `norobots` are those experiments, with the
settings of `paper` and --config.data.path=FILE.

smoke: 3 runs of 20 steps, about 70 seconds of CPU time.
nano: 9 runs of 60 steps, estimated 2 hours on 2 CPU cores.
"""

import ml_collections

import zsgen

tiers = zsgen.load_beside(__file__, "tiers.py")

# Training examples of the 300 and 350 published steps.
CONVERSATIONS = {"sharegpt": 4800, "norobots": 5600}


def get_config(tier: str = "smoke") -> ml_collections.ConfigDict:
  """Returns a sweep over the three settings.

  Args:
    tier: smoke, nano, mini, paper, sharegpt or norobots.
  """
  if tier in CONVERSATIONS:
    return _conversations(tier)
  config = tiers.base("tmt", tier)
  orders = {arm: tiers.settings(tier)[arm] for arm in ("NFT", "RT", "FFT")}
  return tiers.sweep_orders(config, orders, tier)


def _conversations(name: str) -> ml_collections.ConfigDict:
  """Returns the paper's settings on conversations, with a share held out."""
  config = tiers.base("tmt", "paper")
  config.name = f"arrangement_tmt_{name}"
  config.data.source = "chat"
  config.data.heldout = {"heldout": {"share": 0.05}}
  config.data.train_instances = 1_000_000  # All conversations are one task.
  config.data.heldout_instances = 200
  orders = {
      arm: tiers.released(arm, CONVERSATIONS[name])
      for arm in ("NFT", "RT", "FFT")
  }
  return tiers.sweep_orders(config, orders, "paper")
