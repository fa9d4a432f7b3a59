"""Z6, a surrogate: encrypted rewrites on a pre-trained base (2402.10891, 5).

  python -m zsgen.main --config=configs/rewrites/encrypted.py:base_nano
  python -m launch.sweep --config=configs/rewrites/encrypted.py:nano \\
      --config.model.init=run:workdir/runs/rewrites_base_nano-<hash>
  python -m zsgen.rewrites workdir/sweeps/rewrites_encrypted_nano-*

The paper tunes Llama-2-7B. Here, the base is a small model of our own that was
pre-trained on plain rewrites, and adapters learn to shift the letters of
rewritten inputs by three; 40% of the inputs have no x and remain as they are.
So nothing here reproduces Fig. 5. With few rules, expect an accuracy of only
the share of no-ops, and a higher one with more rules. Two more points have half
of the examples at the largest number of rules: taken evenly from all rules, and
mostly from a few.

The seed decides which patterns are withheld, so a base with another seed has
seen some of them: use the same seed for base and sweep. For another seed, pass
`--config.seed=1` to the base and `--config.sweep.seeds='(1,)'` to the sweep.

smoke takes 30 s for the base and 66 s for the sweep on 2 CPU cores. The other
tiers were not run: nano is for CPUs, mini and paper are for an accelerator.
"""

from typing import Any

import ml_collections

import zsgen

tiers = zsgen.load_beside(__file__, "tiers.py")

_BASE = "base_"
# Rules of the base.
BASE = {"smoke": 2000, "nano": 10_000, "mini": 100_000, "paper": 100_000}
RULES = {
    "smoke": (10, 1000),
    "nano": (10, 100, 1000, 3000, 9000),
    "mini": (10, 100, 1000, 3000, 9000),
    "paper": (10, 100, 500, 1000, 3000, 9000),
}
# Training examples, and steps of 64 examples: 3.2 epochs, but 1 in smoke.
EXAMPLES = {"smoke": 4000, "nano": 40_000, "mini": 40_000, "paper": 40_000}
STEPS = {"smoke": 60, "nano": 2000, "mini": 2000, "paper": 2000}
_BATCH = 64
# Shape of the power law by which rules keep examples.
_TAIL = 0.2


def get_config(tier: str = "smoke") -> ml_collections.ConfigDict:
  """Returns the base, or a sweep of adapters over the number of rules.

  Args:
    tier: smoke, nano, mini or paper; with the prefix "base_", the base.
  """
  if tier.startswith(_BASE):
    tier = tier.removeprefix(_BASE)
    config = tiers.base("base", tier)
    config.name = f"rewrites_{_BASE}{tier}"
    config.data.rewrites.rules = BASE[tier]
    return config
  config = tiers.base("encrypted", tier)
  config.model.init = "run:BASE"  # Set by a flag: see above.
  config.lora.rank = config.model.width // 8
  config.lora.alpha = 2.0 * config.lora.rank
  config.lora.targets = r".*"
  config.data.rewrites.update(
      {"examples": EXAMPLES[tier], "noop_share": 0.4, "cipher": 3}
  )
  config.train.batch_size = _BATCH
  config.order.update(_order(tier))
  for label, parts in (("unseen", 4), ("seen", 4), ("written", 1)):
    config.evals[label].every_steps = STEPS[tier] // parts
  return tiers.sweep(config, _points(tier), (config.seed,))


def _points(tier: str) -> dict[str, dict[str, Any]]:
  """Returns points with all examples, and with half for the most rules."""
  largest = RULES[tier][-1]
  half = _order(tier, 0.5)
  points = {f"rules{count}": tiers.point(count) for count in RULES[tier]}
  for name, shape in (("even", 0.0), ("tail", _TAIL)):
    options = {"subsample": 0.5, "subsample_power_law": shape}
    points[f"half-{name}-rules{largest}"] = {
        **tiers.point(largest, **options),
        "order": half,
    }
  return points


def _order(tier: str, share: float = 1.0) -> dict[str, Any]:
  """Returns an order of the same number of steps for any share of examples."""
  return tiers.order(round(EXAMPLES[tier] * share), STEPS[tier] * _BATCH)
