"""TMT on the embedded suite: nearest first, round after round.

  python -m zsgen.main --config=configs/tmt.py

Trains 120 steps of 16 examples from the embedded base on 70 small tasks, and
evaluates two held-out sets every 10 steps, in under a minute and 1 GB on 2 CPU
cores. Expect (seed 0) a held-out loss of 2.769 before training, 1.14 at step 10
and 0.749 at the end; on the held-out family, 2.055 before training and 1.348 at
the end.
"""

import ml_collections

import zsgen


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment."""
  config = zsgen.default_config()
  config.name = "tmt"
  config.data.source = "synth"
  config.order.arrangement = "tmt"
  config.order.budget = 1920
  config.evals.heldout_family = dict(
      type="loss", split="heldout_family", every_steps=10
  )
  config.targets.learns = dict(
      metric="heldout/loss", measure="final", below=1.0
  )
  return config
