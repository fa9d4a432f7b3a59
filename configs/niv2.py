"""TMT on Natural Instructions: official split, definition and input.

git clone https://github.com/allenai/natural-instructions CLONE
python -m zsgen.main --config=configs/niv2.py --config.data.path=CLONE
"""

import ml_collections

import zsgen.config


def get_config() -> ml_collections.ConfigDict:
  """The experiment."""
  config = zsgen.config.defaults()
  config.name = "niv2"
  config.data.source = "niv2"
  config.data.train_instances = 100
  config.data.heldout_instances = 5
  config.data.max_length = 2048
  config.order.arrangement = "tmt"
  config.order.budget = 1600
  config.evals.heldout.every_steps = 20
  return config
