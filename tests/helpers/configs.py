"""Configs that tests train."""

import ml_collections

from zsgen.core import config as config_lib

# Of a decoder that compiles and trains fast.
SIZES = {
    "init": "new",
    "layers": 2,
    "width": 32,
    "heads": 2,
    "kv_heads": 1,
    "head_width": 16,
    "mlp_width": 48,
}


def small() -> ml_collections.ConfigDict:
  """Returns a config that trains in a second: few rows, a tiny decoder."""
  config = config_lib.defaults()
  config.name = "small"
  config.data.train_instances = 4
  config.data.heldout_instances = 1
  config.order.budget = 40
  config.model.update(SIZES)
  config.train.batch_size = 4
  config.train.learning_rate = 3e-3
  config.evals.heldout.every_steps = 4
  config.machine.save_every = 5
  config.machine.layouts = 1
  config.machine.tensorboard = False
  return config


def remade() -> ml_collections.ConfigDict:
  """Returns `small` with an order that is sorted by loss at steps 4 and 8."""
  config = small()
  config.name, config.data.train_instances = "remade", 1
  config.order = {
      "arrangement": "scored",
      "score": "loss",
      "sequence": "descending",
      "embedder": "",
      "budget": 38,
      "remake_every": 4,
  }
  config.machine.keep = 5
  return config
