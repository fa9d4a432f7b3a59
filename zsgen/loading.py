"""Opens stores, orders and runs, and Python files next to a config."""

import os
import pathlib
import runpy
import types
from typing import TYPE_CHECKING

from zsgen.core import errors

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


def load_beside(file: str, name: str) -> types.SimpleNamespace:
  """Runs a Python file next to a config and returns its names.

  A config is loaded by its path, so that it cannot import its neighbors.

  Args:
    file: `__file__` of the config.
    name: the other file, in the same directory, such as "tiers.py".

  Returns:
    A namespace with everything that the file defines.

  Raises:
    InputError: there is no such file.
  """
  path = pathlib.Path(file).with_name(name)
  if not path.is_file():
    raise errors.InputError(
        f"{file}: loads {name}, which is not in its directory. Copy it there."
    )
  return types.SimpleNamespace(**runpy.run_path(str(path)))
