"""Controls that the paper does not have, for its settings (E8).

  python -m launch.sweep --config=configs/arrangement/controls.py:nano \
    --config.data.path=CLONE
  python -m zsgen.reports arrangement workdir

All arms have the data, base, steps and seeds of settings.py; the page compares
them with `uniform`.

  uniform         drawn from the whole pool with equal probability
  matched         random, with the lengths of near_rounds at the same positions
  near_rounds     TMT, which is MIN of settings.py
  near_shuffled   TMT, shuffled within each round, so that tasks are mixed
  near_random     the examples of near_rounds in random order
  far_shuffled    farthest first, shuffled within each round
  near_prompt     TMT that compares prompts only, without answers
  near_ngram      TMT by word n-grams instead of MiniLM

If uniform is better than near_rounds, using the held-out set does not pay off;
if near_random is as good as near_rounds, the effect comes from the set of
examples and not from their sequence.

If settings.py is finished in the same workdir, the page also compares these
arms with those of settings.py. No target is about the controls, and nothing is
published about them. In nano, expect a final loss of 2.26 for uniform, down
from 4.22; the other arms were not run (docs/papers.md).

smoke: 8 runs of 20 steps, all by n-grams, about 3 minutes of CPU time.
nano: 24 runs of 60 steps, estimated 5 hours on 2 CPU cores.
"""

import ml_collections

import zsgen

tiers = zsgen.load_beside(__file__, "tiers.py")


def get_config(tier: str = "smoke") -> ml_collections.ConfigDict:
  """Returns a sweep over the controls.

  Args:
    tier: smoke, nano, mini or paper.
  """
  config = tiers.base("controls", tier)
  budget = tiers.choose(tier).budget
  nearest = tiers.tmt(budget)
  arms = {
      "uniform": tiers.uniform(budget),
      "matched": {"arrangement": "matched", "parts": (nearest,)},
      "near_rounds": nearest,
      "near_shuffled": tiers.tmt(budget, in_round="shuffled"),
      "near_random": tiers.tmt(budget, sequence="shuffled"),
      "far_shuffled": tiers.tmt(budget, pick="farthest", in_round="shuffled"),
      "near_prompt": tiers.tmt(budget, text="prompt"),
      "near_ngram": tiers.tmt(budget, embedder="ngram"),
  }
  return tiers.sweep_orders(config, arms, tier)
