"""Opens what experiments have written, for notebooks and analyses."""

import os
import pathlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
  from zsgen.data import store as store_lib
  from zsgen.orders import order as order_lib
  from zsgen.reports import curves


def load_store(path: str | os.PathLike[str]) -> "store_lib.Store":
  """Opens a store: the tokens, loss masks and texts of all examples.

  Does not import JAX.

  Args:
    path: its directory, such as workdir/stores/synth-0123456789ab.

  Returns:
    The store. Blocks of its files are checked when they are first read.

  Raises:
    InputError: there is no store, it has an older format, or it is damaged.
  """
  from zsgen.data import store as store_lib

  return store_lib.open_store(pathlib.Path(path))


def load_order(
    path: str | os.PathLike[str], store: "store_lib.Store | None" = None
) -> "order_lib.Order":
  """Loads an order: the example ids in the sequence of training.

  Does not import JAX.

  Args:
    path: its directory, such as workdir/orders/tmt-0123456789ab.
    store: checks that the order was made for this store; None for no check.

  Returns:
    The order. Its attribute `store_path` is the directory of its store.

  Raises:
    InputError: there is no order, it is damaged, or it was made for another
      store.
  """
  from zsgen.orders import order as order_lib

  return order_lib.Order.load(pathlib.Path(path), store)


def load_run(path: str | os.PathLike[str]) -> "curves.Run":
  """Opens a run: its config and the curves of its metrics.

  Args:
    path: its directory, such as workdir/runs/tmt-0123456789ab.

  Returns:
    The run, which reports are written from. `metrics` has its curves.

  Raises:
    InputError: there is no run, or the records of a finished run are damaged.
  """
  from zsgen.reports import curves

  return curves.open_run(pathlib.Path(path))
