"""Pre-trains the embedded base on plain prose from the suite's worlds.

  python -m zsgen.main --config=configs/pretrain_tiny.py --stage=export

Trains 2,600 steps of 32 texts (14 million bytes), in 44 minutes and 1.3 GB on 2
busy CPU cores. Expect a held-out loss of 5.57 nats per byte before training,
0.86 at step 400 and 0.447 at the end. The texts state facts and demonstrate
skills in prose, without the suite's instructions (tests/data/test_worlds.py).
The bfloat16 export is zsgen/assets/tiny.
"""

import ml_collections

import zsgen


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment."""
  config = zsgen.default_config()
  config.name = "pretrain_tiny"
  config.data.source = "worlds"
  config.data.train_instances = 13000
  config.data.heldout_instances = 20
  config.data.max_length = 192
  config.order.arrangement = "random"
  config.order.embedder = ""
  config.order.budget = 83200
  config.model.init = "new"
  config.train.batch_size = 32
  config.train.learning_rate = 2e-3
  config.train.warmup_steps = 100
  config.train.final_share = 0.05
  config.train.eps = 1e-8
  config.evals = ml_collections.ConfigDict(
      dict(heldout=dict(type="loss", split="heldout", every_steps=200))
  )
  config.machine.save_every = 200
  config.machine.export_dtype = "bfloat16"
  return config
