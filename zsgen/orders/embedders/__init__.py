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
  return errors.choose(EMBEDDERS, name, "config.order.embedder")()
