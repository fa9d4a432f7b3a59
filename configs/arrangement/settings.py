"""E8: five settings, near and far halves in both sequences (app. C).

  python -m launch.sweep --config=configs/arrangement/settings.py:nano \
    --config.data.path=CLONE
  python -m zsgen.reports arrangement workdir

NFT has the near half of its examples first, followed by the far half backwards;
FFT has the far half first, followed by the near half backwards. RT is the same
set, shuffled. MIN has near examples only, MAX far ones only. In the first half
of the steps, NFT is the same as MIN, and FFT the same as MAX. Published final
losses: MIN 0.51, NFT 0.52, RT 0.58, FFT 0.60, MAX 0.84 (target R13).

smoke: 5 runs of 20 steps, about 2 minutes of CPU time.
nano: 15 runs of 60 steps, 4 hours on 2 CPU cores. Expect final losses of 2.32
for MIN, 2.33 for RT, 2.35 for NFT, 2.38 for FFT and 2.53 for MAX, down from
4.22: R13 fails, because RT is below NFT (docs/papers.md).
tiers.py describes mini and paper.
"""

import ml_collections

import zsgen

tiers = zsgen.load_beside(__file__, "tiers.py")


def get_config(tier: str = "smoke") -> ml_collections.ConfigDict:
  """Returns a sweep over the five settings.

  Args:
    tier: smoke, nano, mini or paper.
  """
  config = tiers.base("settings", tier)
  return tiers.sweep_orders(config, tiers.settings(tier), tier)
