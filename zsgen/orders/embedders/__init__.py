"""Embedders by name: from texts to vectors of unit length."""

from collections.abc import Callable, Iterator
import pathlib
from typing import Any, Protocol

import numpy as np

from zsgen.core import config, plugins, registry, schema
from zsgen.orders.embedders import encoded


class Embedder(Protocol):
  """What an embedder does."""

  def parameters(self) -> dict[str, Any]:
    """Returns all that determines its vectors, as JSON values."""
    ...

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
    ...


def make(order: config.Order) -> Embedder:
  """Returns the embedder that an order names, with its options.

  Raises:
    InputError: there is no such embedder.
  """
  component = registry.component(
      "embedder", order.embedder, "config.order.embedder"
  )
  return component.build(schema.options_of(order, component.options))


def parameters(order: config.Order) -> dict[str, Any]:
  """Returns all that decides the vectors of an order's embedder, JSON-able.

  The digest of a plug-in's source is among it.

  Raises:
    InputError: there is no such embedder, or its files are damaged.
  """
  source = plugins.fingerprint("embedder", order.embedder)
  return {**make(order).parameters(), **source}
