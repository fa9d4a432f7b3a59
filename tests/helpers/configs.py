"""Configs that tests train."""

import ml_collections

from zsgen.core import config as config_lib


def small() -> ml_collections.ConfigDict:
  """Returns a config that trains in a second: few rows, a tiny decoder."""
  config = config_lib.defaults()
  config.name = "small"
  config.data.train_instances = 4
  config.data.heldout_instances = 1
  config.order.budget = 40
  config.model.init = "new"
  config.model.layers = 2
  config.model.width = 32
  config.model.heads = 2
  config.model.kv_heads = 1
  config.model.head_width = 16
  config.model.mlp_width = 48
  config.train.batch_size = 4
  config.train.learning_rate = 3e-3
  config.evals.heldout.every_steps = 4
  config.machine.save_every = 5
  config.machine.layouts = 1
  config.machine.tensorboard = False
  return config
