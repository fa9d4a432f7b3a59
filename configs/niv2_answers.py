"""Generated answers on Natural Instructions: ROUGE-L and exact match by step.

  git clone https://github.com/allenai/natural-instructions CLONE
  python -m zsgen.main --config=configs/niv2_answers.py \
      --config.data.path=CLONE

Like configs/niv2.py, but every 20 steps the model also answers one held-out
example of each task, with greedy decoding. Two baselines need no model: the
example's input, and the answer of the first solved example. Takes 11 minutes on
2 busy CPU cores. With --config.data.border=released, expect a held-out loss of
7.33 before training and 2.76 at the end. ROUGE-L increases from 0.020 to 0.029
and exact match to 0.017: the byte-level base of 0.9 million parameters is worse
than both baselines (0.137 and 0.308). To use a better model, set
`--config.model.init=hf:DIR` and its tokenizer.
"""

import ml_collections

from configs import niv2


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment."""
  config = niv2.get_config()
  config.name = "niv2_answers"
  # Prompts leave room for the 64 tokens of an answer.
  config.data.max_length = 1984
  config.evals = ml_collections.ConfigDict(
      dict(
          heldout=dict(type="loss", every_steps=20),
          answers=dict(
              type="generate",
              every_steps=20,
              max_examples=119,
              max_new_tokens=64,
          ),
          copy_input=dict(type="copy_input", every_steps=100, max_examples=119),
          copy_first_example=dict(
              type="copy_first_example", every_steps=100, max_examples=119
          ),
      )
  )
  return config
