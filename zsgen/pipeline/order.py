"""The stage order: from a store to an order."""

import pathlib

import numpy as np

from zsgen.core import config as config_lib
from zsgen.core import hosts
from zsgen.data import store as store_lib
from zsgen.orders import order as order_lib
from zsgen.pipeline import console as console_lib
from zsgen.pipeline import score, traces
from zsgen.train import starts


def arrange(
    config: config_lib.Config,
    workdir: pathlib.Path,
    store: store_lib.Store,
    start: starts.Start,
    console: console_lib.Console,
    excluded: np.ndarray | None = None,
) -> order_lib.Order:
  """Loads the order of a config, and makes what is not there yet.

  That is the order itself, and its traces if the config wants them.

  Args:
    config: the options.
    workdir: the directory of all artifacts.
    store: the store of the config.
    start: the parameters that a scorer or an embedder reads.
    console: prints lines.
    excluded: ids of training examples to leave out, see `order_lib.make`.

  Raises:
    InputError: bad options, a damaged artifact, or processes that differ.
  """
  scorer = score.make_scorer(config, workdir, store, start, console)
  with console.status("order"):
    order = order_lib.make(
        *(workdir, store, config.order, config.order_seed),
        log=console.log,
        scorer=scorer,
        excluded=excluded,
    )
  if excluded is not None:
    console.log(
        f"order    without the {len(excluded):,} examples that were consumed"
        " before the fork"
    )
  console.log(f"order    {order.path}")
  hosts.agree("order", {"the order's fingerprint": order.fingerprint})
  traces.trace(config, workdir, store, order, scorer.models, console)
  return order
