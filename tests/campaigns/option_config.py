"""A config file whose argument sets options: FILE:{"order.clusters": 3}.

The argument is JSON, with Python's NaN and Infinity; so a value arrives with
the type that a config file would give it.
"""

import json

import ml_collections

import zsgen
from zsgen import rewrites


def get_config(options: str = "{}") -> ml_collections.ConfigDict:
  """Returns an experiment of seconds that has all sections with fields."""
  config = zsgen.default_config()
  config.name, config.seed = "options", 7  # Other seeds may be 0.
  config.plugins = rewrites.PLUGINS
  config.data.update(train_instances=2, heldout_instances=1)
  config.order.update(arrangement="random", budget=8)
  config.model.update(
      init="new", layers=1, width=8, heads=1, kv_heads=1, head_width=8
  )
  config.model.mlp_width = 8
  config.train.batch_size = 4
  config.machine.update(tensorboard=False, layouts=1)
  config.targets = {
      "low": {
          "metric": "heldout/loss",
          "measure": "final",
          "below": 9.0,
          "above": 0.1,
      }
  }
  for name, value in json.loads(options).items():
    *path, last = name.split(".")
    section = config
    for word in path:
      section = section[word]
    section[last] = _tuples(value)
  return config


def _tuples(value):
  """Lists as tuples, in any depth of lists."""
  return tuple(map(_tuples, value)) if isinstance(value, list) else value
