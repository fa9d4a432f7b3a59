"""Compares TMT on four kinds of vectors: n-grams, MiniLM, hidden, gradient.

  python -m launch.sweep --config=configs/features.py
  python -m launch.sweep --config=configs/features.py:ngram,hidden,gradient

Trains `random`, and TMT on each kind of vectors, with 3 seeds on the embedded
suite, from the embedded base: 15 runs of 120 steps, in 18 minutes on 2 cores.
The vectors of `hidden` and `gradient` come from that base. MiniLM needs the
extra `minilm`; the second command leaves it out. docs/beyond.md explains the
vectors and has the results: expect a final loss of 0.710 for `random` and 0.695
to 0.754 for TMT.
"""

import ml_collections

from zsgen.core import config as config_lib
from zsgen.core import errors

EMBEDDERS = {
    "ngram": {},
    "minilm": {},
    "hidden": {},
    "gradient": {
        "gradient_parameters": r".*/mlp/down/kernel",
        "gradient_dim": 256,
    },
}


def get_config(names: str = ",".join(EMBEDDERS)) -> ml_collections.ConfigDict:
  """Returns the experiment that all points share, and the section `sweep`.

  Args:
    names: the embedders, separated by commas.

  Raises:
    InputError: a name is not in `EMBEDDERS`.
  """
  config = config_lib.defaults()
  config.name = "features"
  config.data.train_instances = 100  # A pool that takes minutes to embed.
  config.order.arrangement = "tmt"
  config.order.budget = 1920
  for name in ("heldout", "heldout_family"):
    config.evals[name] = {"type": "loss", "split": name, "every_steps": 4}
  orders = {
      f"tmt_{name}": {
          "embedder": name,
          **errors.choose(
              EMBEDDERS, name, "--config=configs/features.py:NAMES"
          ),
      }
      for name in names.split(",")
  }
  config.sweep = {
      "orders": {"random": {"arrangement": "random"}, **orders},
      "seeds": (0, 1, 2),
      "vary_heldout": True,  # A seed draws held-out examples too.
  }
  return config
