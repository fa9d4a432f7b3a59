"""placeholder

  python -m zsgen.main --config=configs/lora.py
"""

import ml_collections

import zsgen.config


def get_config() -> ml_collections.ConfigDict:
  """The experiment."""
  config = zsgen.config.defaults()
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
