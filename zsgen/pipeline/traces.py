"""The traces of an order, which the pages of its runs show."""

from zsgen import evals
from zsgen.core import config as config_lib
from zsgen.core import hosts
from zsgen.data import store as store_lib
from zsgen.orders import order as order_lib
from zsgen.orders import trace as trace_lib
from zsgen.pipeline import console as console_lib


def trace(
    config: config_lib.Config,
    store: store_lib.Store,
    order: order_lib.Order,
    console: console_lib.Console,
) -> None:
  """Measures an order as `config.order.trace_every` says, if it is set.

  Distances to the held-out set of each evaluation that has a figure of them are
  measured, unless the order has this trace already.

  Args:
    config: the options.
    store: the order's store.
    order: the order, in the workdir.
    console: prints lines.

  Raises:
    InputError: an existing trace is damaged.
  """
  every, batch_size = config.order.trace_every, config.train.batch_size
  if not every:
    return
  # Of evaluations with one held-out set, one trace.
  splits = dict.fromkeys(
      spec.split
      for spec in config.evals.values()
      if "distances" in evals.declaration(spec).figures
  )
  for split in splits:
    is_made = hosts.is_first() and _is_made(order, split, every, batch_size)
    if hosts.broadcast("trace", is_made):
      continue
    with console.status("trace"):
      made = trace_lib.make(order, store, batch_size, every, split)
    console.log(f"trace    {made.path}")


def _is_made(
    order: order_lib.Order, split: str, every: int, batch_size: int
) -> bool:
  """Returns whether there is a trace with prefixes of these steps."""
  found = trace_lib.find(order, split)
  if found is None:
    return False
  description = found.description
  return (description["every"], description["batch_size"]) == (
      every,
      batch_size,
  )
