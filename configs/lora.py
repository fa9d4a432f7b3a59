"""LoRA on the embedded base: trains adapters and freezes the base.

  python -m zsgen.main --config=configs/lora.py

Uses the suite, order and steps of configs/tmt.py. Rank 8 on all 28 projections
trains 81,920 parameters, 9% of the base, in under 90 seconds and 1.1 GB on 2
CPU cores. Expect (seed 0) a held-out loss of 2.769 before training, 1.76 at
step 10 and 0.729 at the end; on the held-out family, 2.055 before training and
1.248 at the end. To export PEFT files, use
`--stage=export --config.machine.export=adapter`.
"""

import ml_collections

import zsgen


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment."""
  config = zsgen.default_config()
  config.name = "lora"
  config.data.source = "synth"
  config.order.arrangement = "tmt"
  config.order.budget = 1920
  config.lora.rank = 8
  config.lora.alpha = 16.0
  config.lora.targets = ".*"
  config.train.learning_rate = 1e-3
  config.evals.heldout_family = dict(
      type="loss", split="heldout_family", every_steps=10
  )
  config.targets.learns = dict(
      metric="heldout/loss", measure="final", below=1.0
  )
  return config
