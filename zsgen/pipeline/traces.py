"""The traces of an order, which the pages of its runs show."""

import dataclasses
import pathlib
from typing import Any

from zsgen import evals
from zsgen.core import config as config_lib
from zsgen.core import errors, hosts
from zsgen.data import store as store_lib
from zsgen.orders import embeddings
from zsgen.orders import order as order_lib
from zsgen.orders import trace as trace_lib
from zsgen.orders.embedders import by_model
from zsgen.pipeline import console as console_lib


def check(config: config_lib.Config) -> None:
  """Raises InputError if an order is measured, but no page would show it."""
  every = config.order.trace_every
  if every and not _splits(config):
    raise errors.InputError(
        f"config.order.trace_every is {every}, but distances are measured for"
        " evaluations of type 'loss', and config.evals has none. Add one, or"
        " set it to 0."
    )


def trace(
    config: config_lib.Config,
    workdir: pathlib.Path,
    store: store_lib.Store,
    order: order_lib.Order,
    models: by_model.Models,
    console: console_lib.Console,
) -> None:
  """Measures an order as `config.order.trace_every` says, if it is set.

  Distances to the held-out set of each evaluation that has a figure of them are
  measured, by the order's own embedder and text, unless the order has this
  trace already. A different one is replaced.

  Args:
    config: the options.
    workdir: the directory of all artifacts.
    store: the order's store.
    order: the order.
    models: gives the models of embedders by a model.
    console: prints lines.

  Raises:
    InputError: an existing trace is damaged.
  """
  every, batch_size = config.order.trace_every, config.train.batch_size
  if not every:
    return
  for split in _splits(config):
    description = trace_lib.describe(order, store, batch_size, every, split)
    has_trace = hosts.is_first() and _has_trace(order, split, description)
    if hosts.broadcast("trace", has_trace):
      continue
    with console.status("trace"):
      vectors = None  # Of an order without embedder, see `trace_lib.make`.
      if config.order.embedder:
        # They may have been deleted since the order was made.
        options = dataclasses.replace(config.order, text=description["text"])
        vectors = embeddings.obtain(
            workdir, store, options, console.log, models
        )
      result = trace_lib.make(
          order, store, batch_size, every, split, vectors=vectors
      )
    console.log(f"trace    {result.path}")


def _splits(config: config_lib.Config) -> list[str]:
  """Returns the held-out sets whose distances are shown, each once."""
  return list(
      dict.fromkeys(
          spec.split
          for spec in config.evals.values()
          if "distances" in evals.declaration(spec).figures
      )
  )


def _has_trace(
    order: order_lib.Order, split: str, description: dict[str, Any]
) -> bool:
  """Returns whether an order has the trace of a description."""
  existing = trace_lib.find(order, split)
  return (
      existing is not None
      and description.items() <= existing.description.items()
  )
