"""E4: near first, random and far first, sorted by WSD (sec. 3.2.1).

  python -m launch.sweep --config=configs/arrangement/wsd.py:nano \
    --config.data.path=CLONE
  python -m zsgen.reports arrangement workdir

The three orders have the same examples. NFT is sorted by WSD, the weighted sum
of the minimum and the mean cosine distance; FFT is its reverse, and RT is
random. Published final losses: NFT 0.62, RT 0.66, FFT 0.71, down from 1.25
(R8).

smoke: 3 runs of 20 steps, about 70 seconds of CPU time.
nano: 9 runs of 60 steps, estimated 2 hours on 2 CPU cores.
"""

import ml_collections

import zsgen

tiers = zsgen.load_beside(__file__, "tiers.py")


def get_config(tier: str = "smoke") -> ml_collections.ConfigDict:
  """Returns a sweep over the three orders.

  Args:
    tier: smoke, nano, mini or paper.
  """
  config = tiers.base("wsd", tier)
  if tier == "paper":
    tiers.sample_each_task(config)
  orders = tiers.near_random_far(tier, arrangement="similarity", measure="wsd")
  return tiers.sweep_orders(config, orders, tier)
