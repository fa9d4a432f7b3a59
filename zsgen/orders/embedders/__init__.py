"""Embedders by name: from texts to vectors of unit length."""

from collections.abc import Callable, Iterator
import pathlib
from typing import Any, Protocol

import numpy as np

from zsgen.core import config, errors
from zsgen.orders.embedders import encoded, encoder, minilm, ngram


class Embedder(Protocol):
  """What an embedder does."""

  def parameters(self) -> dict[str, Any]:
    """Returns all that determines its vectors, as JSON values."""

  def embed(
      self,
      texts: Iterator[str],
      training: np.ndarray,
      partial: pathlib.Path,
      log: Callable[[str], None],
  ) -> encoded.Encoded:
    """Embeds texts.

    Args:
      texts: N texts.
      training: which of them statistics may use, bool [N].
      partial: a directory for what should survive a kill.
      log: is called with lines about the progress of long work.

    Returns:
      Their vectors, and how many were cut.
    """


EMBEDDERS: dict[str, Callable[[config.Order], Embedder]] = {
    "encoder": lambda order: encoder.Encoder(
        order.encoder, order.encoder_dtype
    ),
    "minilm": lambda order: minilm.Minilm(order.encoder_dtype),
    "ngram": lambda order: ngram.Ngram(),
}


def make(order: config.Order) -> Embedder:
  """Makes the embedder that an order names.

  Raises:
    InputError: there is no such embedder.
  """
  return errors.choose(EMBEDDERS, order.embedder, "config.order.embedder")(
      order
  )
