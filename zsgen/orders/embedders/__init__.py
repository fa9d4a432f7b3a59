"""Embedders by name: from texts to vectors of unit length."""

from collections.abc import Callable, Iterator
import pathlib
from typing import Any, Protocol

import numpy as np

from zsgen.core import config, plugins, registry, schema
from zsgen.orders.embedders import by_model, encoded


class Embedder(Protocol):
  """What an embedder of texts does; see `by_model` for those of rows."""

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


def make(order: config.Order) -> Embedder | by_model.ModelEmbedder:
  """Returns the embedder that an order names, with its options.

  Raises:
    InputError: there is no such embedder.
  """
  component = registry.component(
      "embedder", order.embedder, "config.order.embedder"
  )
  return component.build(schema.options_of(order, component.options))


def reads_run(order: config.Order) -> bool:
  """Returns whether an order's vectors depend on parameters that are trained.

  Raises:
    InputError: there is no such embedder.
  """
  if not order.embedder:
    return False
  embedder = make(order)
  return isinstance(embedder, by_model.ModelEmbedder) and embedder.reads_run


def parameters(
    order: config.Order, models: by_model.Models = by_model.NO_MODELS
) -> dict[str, Any]:
  """Returns all that decides the vectors of an order's embedder, JSON-able.

  The digest of a plug-in's source is among it, and what decides the parameters
  of models.

  Args:
    order: names the embedder.
    models: gives the models of an embedder by a model.

  Raises:
    InputError: there is no such embedder, or its files are damaged.
  """
  embedder = make(order)
  values = {
      **embedder.parameters(),
      **plugins.fingerprint("embedder", order.embedder),
  }
  if isinstance(embedder, by_model.ModelEmbedder):
    values["models"] = [models.recipe(name) for name in embedder.checkpoints]
  return values
