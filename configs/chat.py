"""TMT on conversations, with a share of them held out.

  python -m zsgen.main --config=configs/chat.py --config.data.path=DIR

DIR has one or more files in the format of ShareGPT or OpenAI (docs/data.md).
Trains 100 steps of 16 conversations, nearest first, from the embedded base,
with a loss on every answer. With 6,885 single-turn conversations (GPTeacher,
self-instruct) and --config.data.border=released, expect a held-out loss of 7.66
nats per byte before training and 3.19 at step 20, in 2.1 GB; with the default
border, 7.60 before training.
"""

import ml_collections

import zsgen


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment."""
  config = zsgen.default_config()
  config.name = "chat"
  config.data.source = "chat"
  config.data.heldout = {"heldout": {"share": 0.05}}
  # All conversations are one task, and caps apply to each task.
  config.data.train_instances = 1_000_000
  config.data.heldout_instances = 200
  config.data.template = "chat"
  config.data.truncate = "prompt"
  config.data.max_length = 2048
  config.order.arrangement = "tmt"
  config.order.budget = 1600
  config.evals.heldout.every_steps = 20
  return config
