"""Opens stores, orders, runs and files next to a config, and compares runs."""

from collections.abc import Sequence
import os
import pathlib
import runpy
import types
from typing import TYPE_CHECKING

from zsgen.core import errors

if TYPE_CHECKING:
  import pyarrow as pa

  from zsgen.data import store as store_lib
  from zsgen.orders import order as order_lib
  from zsgen.reports import run_tables


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
  from zsgen.train import bucket_paths

  return store_lib.open_store(bucket_paths.open_copy(path))


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
  from zsgen.train import bucket_paths

  return order_lib.Order.load(bucket_paths.open_copy(path), store)


def load_run(path: str | os.PathLike[str]) -> "run_tables.Run":
  """Opens a run, finished or not: what it measured, as Arrow tables.

  Args:
    path: its directory, such as workdir/runs/tmt-0123456789ab, or in a bucket,
      gs://bucket/workdir/runs/tmt-0123456789ab.

  Returns:
    The run. Its tables are `metrics`, `tasks`, `intervals`, `evaluation(name)`,
    `order`, `consumed`, `config` and `provenance`.

  Raises:
    InputError: there is no run, or the records of a finished run are damaged.
  """
  from zsgen.reports import run_tables
  from zsgen.train import bucket_paths

  return run_tables.load(bucket_paths.open_copy(path))


def compare(
    runs: "Sequence[str | os.PathLike[str] | run_tables.Run]",
    reference: str = "",
) -> "pa.Table":
  """Compares finished runs with a reference, step by step and seed by seed.

  Runs whose configs differ only in name and seed have one label. A run is
  compared with the reference's run of the same seed, at the steps and over the
  held-out examples that both have.

  Args:
    runs: runs that `load_run` opened, or paths: of runs, directories of runs,
      sweeps or workdirs.
    reference: the label that the others are compared with; by default "random"
      or, if there is none, that of the first run.

  Returns:
    `label`, `seed`, `evaluation`, `metric` (its headline), `unit`, `step`,
    `value`, `reference_value` and `difference`, a row for each shared step. The
    metadata of its schema has the `reference`, and `notes` on what is not
    shared, a line each.

  Raises:
    InputError: there is no finished run, a run is damaged, or the reference is
      unknown.
  """
  from zsgen.reports import comparison, comparison_tables, points, run_tables
  from zsgen.train import bucket_paths

  paths = [
      run.path
      if isinstance(run, run_tables.Run)
      else bucket_paths.open_copy(run)
      for run in runs
  ]
  members = points.find(paths)
  return comparison_tables.differences(
      comparison.open_points(members.runs, reference)
  )


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
