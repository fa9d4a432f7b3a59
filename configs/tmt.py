"""TMT on the embedded default: nearest first, round after round.

python -m zsgen.main --config=configs/tmt.py
"""

import ml_collections

import zsgen.config


def get_config() -> ml_collections.ConfigDict:
  """The experiment."""
  config = zsgen.config.defaults()
  config.name = "tmt"
  config.data.source = "synth"
  config.order.arrangement = "tmt"
  config.evals.heldout_family = dict(
      type="loss", split="heldout_family", every_steps=10
  )
  return config
