"""Runs tasks of lm-evaluation-harness without torch and without training.

  pip install 'zsgen[harness,hf]' && make base
  python -m zsgen.main --config=configs/harness.py --stage=evaluate

Evaluates at most 100 examples of each of three tasks, whose data comes from the
hub. To evaluate another model, give its directory, or its name on the hub,
after a colon; to evaluate a run that was trained from it, add the run:

  python -m zsgen.main --config=configs/harness.py:HuggingFaceTB/SmolLM2-1.7B \
      --stage=evaluate --config.model.init=run:DIR@STEP

The embedded suite is prepared only to provide the tokenizer. Expect a table of
results, with the settings of BOS and chat template below it
(docs/evaluations.md).
"""

import ml_collections

import zsgen
from zsgen.models import base


def get_config(model: str = base.DIRECTORY) -> ml_collections.ConfigDict:
  """Returns the evaluation.

  Args:
    model: a directory in Hugging Face's layout, or a name on the hub.
  """
  config = zsgen.default_config()
  config.name = "harness"
  config.data.source = "synth"
  config.data.tokenizer = "hf"
  config.data.tokenizer_path = model
  config.model.init = f"hf:{model}"
  config.evals = {
      "lm": {
          "type": "harness",
          "tasks": ("arc_easy", "lambada_openai", "wikitext"),
          "per_task": 100,
      }
  }
  return config
