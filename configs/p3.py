"""TMT on P3: T0's training templates, with T0's evaluation data held out.

  python -m zsgen.main --config=configs/p3.py --config.data.path=DIR

DIR has train.jsonl and heldout.jsonl with rows of task, inputs_pretokenized and
targets_pretokenized, or a directory for each template (docs/data.md). Trains
100 steps of 16 examples, nearest first, from the embedded base. With 276
training templates (27,039 rows), 47 held-out templates of COPA, CB, WSC and RTE
and --config.data.border=released, expect a held-out loss of 6.41 nats per byte
before training and 3.50 at step 20, in 3.8 GB. At 2,048 bytes, 20% of the
prompts have their middle cut out.
"""

import ml_collections

import zsgen


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment."""
  config = zsgen.default_config()
  config.name = "p3"
  config.data.source = "p3"
  config.data.prompt = "joined"  # A row's input is a complete prompt.
  config.data.train_instances = 100
  config.data.heldout_instances = 5
  config.data.truncate = "prompt"
  config.data.max_length = 2048
  config.order.arrangement = "tmt"
  config.order.budget = 1600
  config.evals.heldout.every_steps = 20
  return config
