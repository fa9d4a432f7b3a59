"""TMT on your own table: JSON lines, a JSON array, CSV, TSV, Parquet or Arrow.

  python -m zsgen.main --config=configs/table.py --config.data.path=FILE

FILE has rows such as {"task": "rhymes", "input": "moon", "target": "June"}. For
columns with other names, set --config.data.fields.target=answer and so on; for
rows without tasks, --config.data.fields.task= (docs/data.md). A tenth of the
tasks, drawn by the seed, is held out; to change this share, set
--config.data.heldout.heldout.share=0.2. Trains on 1,600 examples (100 steps).
If the file has fewer training examples, or to train on all of them, add
--config.order.budget=-1.
"""

import ml_collections

import zsgen


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment."""
  config = zsgen.default_config()
  config.name = "table"
  config.data.source = "table"
  config.data.fields.task = "task"
  config.data.fields.input = "input"
  config.data.fields.target = "target"
  config.data.deduplicate = True
  config.data.heldout = {"heldout": {"share": 0.1}}
  config.data.train_instances = 320
  config.data.heldout_instances = 5
  config.data.max_length = 2048
  config.order.arrangement = "tmt"
  config.order.budget = 1600
  config.evals.heldout.every_steps = 20
  return config
