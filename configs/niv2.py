"""TMT on Natural Instructions: official split, definition and input as prompt.

  git clone https://github.com/allenai/natural-instructions CLONE
  python -m zsgen.main --config=configs/niv2.py --config.data.path=CLONE

Trains 100 steps of 16 examples, selected from 66,000, from the embedded base,
with 118 held-out tasks of at most 5 examples, in 9 minutes and 3.1 GB on 2 CPU
cores. With --config.data.border=released, expect a held-out loss of 7.31 nats
per byte before training, 3.98 at step 20 and 2.78 at the end. At 2,048 bytes,
4% of the examples have their whole answer cut off; the report counts them by
task.
"""

import ml_collections

import zsgen


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment."""
  config = zsgen.default_config()
  config.name = "niv2"
  config.data.source = "niv2"
  config.data.train_instances = 100
  config.data.heldout_instances = 5
  config.data.max_length = 2048
  config.order.arrangement = "tmt"
  config.order.budget = 1600
  config.evals.heldout.every_steps = 20
  return config
