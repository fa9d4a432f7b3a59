"""TMT on Flan-mini with the paper's tasks (section 4), on a small budget.

  python -m zsgen.main --config=configs/flan_mini.py --config.data.path=DIR

DIR has flan_mini.json (declare-lab/flan-mini) and train_eval_key_list.json (the
paper's released code). The pool has all rows of the training tasks; at most 5
rows of each held-out task are sampled, as in the released code. 100 steps of
16 examples, nearest first, from the embedded base, take about ten minutes and
2.9 GB on 2 CPU cores. With --config.order.budget=320 (20 steps) and
--config.data.border=released, expect a held-out loss of 7.727 before training
and 5.307 at the end.
"""

import ml_collections

import zsgen


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment."""
  config = zsgen.default_config()
  config.name = "flan_mini"
  config.data.source = "flan_mini"
  config.data.draw = "first_sample"
  config.data.train_instances = 2_000_000  # More than any task has.
  config.data.heldout_instances = 5
  config.data.max_length = 2048
  config.order.arrangement = "tmt"
  config.order.budget = 1600
  config.evals.heldout.every_steps = 20
  return config
