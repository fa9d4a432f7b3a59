"""One config in one workdir, and the artifacts that it names."""

import dataclasses
import functools
import pathlib

import rich.console

from zsgen.core import config as config_lib
from zsgen.core import schema
from zsgen.data import store as store_lib
from zsgen.orders import order as order_lib
from zsgen.pipeline import checks, order, prepare, run_directory
from zsgen.pipeline import console as console_lib
from zsgen.train import starts


class Experiment:
  """One config in one workdir; artifacts are made when they are first used.

  Args:
    config: the options.
    workdir: the directory of all artifacts.
    console: where lines for people go.

  Attributes:
    start: parameters before the first step.
    config: the options, with the architecture and adapters of the start.
    workdir: its absolute path.
    console: prints lines and tables.

  Raises:
    InputError: see `checks.check_config`.
  """

  def __init__(
      self,
      config: config_lib.Config,
      workdir: pathlib.Path,
      console: rich.console.Console | None = None,
  ):
    schema.check_local(str(workdir), "--workdir")
    self.start = starts.make(config.model, config.init_seed, config.lora)
    self.config = dataclasses.replace(
        config, model=self.start.arch, lora=self.start.lora
    )
    self.workdir = workdir.absolute()
    self.console = console_lib.Console(console)
    checks.check_config(self.config)

  @functools.cached_property
  def store(self) -> store_lib.Store:
    """The store, prepared if it is not there yet."""
    store = prepare.prepare(self.config, self.workdir, self.console)
    checks.check_store(self.config, store)
    return store

  @functools.cached_property
  def order(self) -> order_lib.Order:
    """The order, arranged if it is not there yet."""
    return order.arrange(
        self.config, self.workdir, self.store, self.start, self.console
    )

  @functools.cached_property
  def run(self) -> run_directory.RunDirectory:
    """The run's directory, which may not be there yet."""
    return run_directory.RunDirectory(
        self.config, self.workdir, self.store, self.order, self.start
    )
