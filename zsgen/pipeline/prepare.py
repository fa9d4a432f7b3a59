"""The stage prepare: from sources to a store."""

import pathlib

from zsgen.core import artifacts, hosts
from zsgen.core import config as config_lib
from zsgen.data import prepare as prepare_lib
from zsgen.data import store as store_lib
from zsgen.pipeline import checks
from zsgen.pipeline import console as console_lib
from zsgen.reports import origins, source_notes, task_counts


def prepare(
    config: config_lib.Config,
    workdir: pathlib.Path,
    console: console_lib.Console,
) -> store_lib.Store:
  """Opens the store of a config; process 0 makes it if it is not there.

  Raises:
    InputError: bad sources, a damaged store, or processes that differ.
  """
  store = None
  if hosts.is_first():
    store = _make(config, workdir / "stores", console)
  # Copies of a bucket may be elsewhere on another host.
  name = hosts.broadcast("store", store.path.name if store else "")
  if store is None:
    path = workdir / "stores" / name
    hosts.await_file(path)
    store = store_lib.open_store(path)
  hosts.agree("store", {"the store's fingerprint": store.fingerprint})
  return store


def _make(
    config: config_lib.Config, root: pathlib.Path, console: console_lib.Console
) -> store_lib.Store:
  """Opens or makes the store; prints what is in a new one."""
  path = prepare_lib.path_of(root, config.data, config.data_seed)
  is_new = not artifacts.exists(path)
  with console.status("prepare"):
    store = prepare_lib.prepare(
        root,
        config.data,
        config.data_seed,
        console.log,
        lambda suite: checks.check_splits(config, suite.heldout),
    )
  console.log(f"prepare  {store.path}")
  if is_new:
    console.show(task_counts.grid(store))
    console.show(origins.counted(store))
    for line in source_notes.describe(store.manifest):
      console.log(line)
  return store
