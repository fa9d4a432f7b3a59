"""Tasks of lm-evaluation-harness, without torch, on parameters as they are.

  pip install 'zsgen[harness,hf]' && make base
  python -m zsgen.main --config=configs/harness.py --stage=evaluate

Evaluates 100 examples of three tasks, whose data comes from the hub. For
another model, name its directory, or its name on the hub, after a colon; for a
run that was trained from it, add the run:

  python -m zsgen.main --config=configs/harness.py:HuggingFaceTB/SmolLM2-1.7B \
      --stage=evaluate --config.model.init=run:DIR@STEP

The suite that is prepared only brings the tokenizer. Expect a table with the
settings of BOS and chat template below it (docs/evaluations.md).
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
