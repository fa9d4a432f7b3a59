"""Embedders by name: from texts to vectors of unit length.

An embedder is a frozen dataclass whose fields are its parameters, with a
method `embed(texts, training)` as `ngram.Ngram` has it.
"""

from zsgen import errors
from zsgen.orders.embedders import ngram

EMBEDDERS = {"ngram": ngram.Ngram}


def make(name: str) -> ngram.Ngram:
  """The embedder of that name.

  Raises:
    InputError: there is none.
  """
  if name not in EMBEDDERS:
    raise errors.InputError(
        f"config.order.embedder: there is no {name!r}."
        f"{errors.did_you_mean(name, EMBEDDERS)} There are:"
        f" {', '.join(EMBEDDERS)}; '' is none."
    )
  return EMBEDDERS[name]()
