"""One config in one workdir, and the artifacts that it names."""

import dataclasses
import functools
import pathlib

import numpy as np
import rich.console

from zsgen.core import artifacts, hosts
from zsgen.core import config as config_lib
from zsgen.data import prepare as prepare_lib
from zsgen.data import store as store_lib
from zsgen.data import suite
from zsgen.orders import order as order_lib
from zsgen.pipeline import (
    checks,
    features,
    fork,
    order,
    prepare,
    run_directory,
    score,
    traces,
)
from zsgen.pipeline import console as console_lib
from zsgen.train import batches, forking, lineage, remaking, starts


class Experiment:
  """One config in one workdir; artifacts are made when they are first used.

  Args:
    config: the options.
    workdir: the directory of all artifacts.
    console: where lines for people go.

  Attributes:
    start: parameters before the first step.
    config: the options, with the architecture and adapters of the start.
    fork: what the run is forked from; None if it begins with step 0.
    workdir: its absolute path.
    console: prints lines and tables.

  Raises:
    InputError: see `checks.check_config` and `fork.open_fork`.
  """

  def __init__(
      self,
      config: config_lib.Config,
      workdir: pathlib.Path,
      console: rich.console.Console | None = None,
  ):
    self.start = starts.make(config.model, config.init_seed, config.lora)
    self.config = dataclasses.replace(
        config, model=self.start.arch, lora=self.start.lora
    )
    self.workdir = workdir.absolute()
    self.console = console_lib.Console(console)
    checks.check_config(self.config)
    features.check(self.config, self.start)
    traces.check(self.config)
    self.fork = fork.open_fork(self.config, self.start, self.workdir)

  @functools.cached_property
  def store(self) -> store_lib.Store:
    """The store, prepared if it is not there yet."""
    config = self.config
    if self.fork:
      root = self.workdir / "stores"
      self._check_checkpoint(
          prepare_lib.path_of(root, config.data, config.data_seed)
      )
    store = prepare.prepare(config, self.workdir, self.console)
    checks.check_store(config, store)
    if self.fork:
      fork.check_store(self.fork, store)
    return store

  @functools.cached_property
  def order(self) -> order_lib.Order:
    """The order, arranged if it is not there yet."""
    if self.fork:
      self._check_checkpoint(self.order_path(self.store))
    self._check_remake()
    return order.arrange(
        self.config,
        self.workdir,
        self.store,
        self.start,
        self.console,
        self.excluded,
    )

  def order_path(self, store: store_lib.Store) -> pathlib.Path:
    """Returns the path of the order, which may not be there yet."""
    config = self.config
    scorer = score.make_scorer(
        config, self.workdir, store, self.start, self.console
    )
    return order_lib.path_of(
        *(self.workdir, store, config.order, config.order_seed),
        scorer=scorer,
        excluded=self.excluded,
    )

  @functools.cached_property
  def excluded(self) -> np.ndarray | None:
    """The ids that are left out of the order's pool, ascending, or None."""
    if self.fork and self.fork.part == config_lib.REST:
      return lineage.consumed_ids(self.fork)
    return None

  def planned_ids(self, ids: np.ndarray) -> np.ndarray:
    """Returns the ids that all steps consume, int64; -1 where there is none.

    Args:
      ids: the order, int64 [n]. A run that is not forked consumes these.
    """
    if self.fork is None:
      return ids
    size = self.config.train.batch_size
    table = lineage.follow(self.fork, ids, size).ravel()
    used = np.flatnonzero(table != batches.NO_EXAMPLE)
    return table[: used[-1] + 1]

  @functools.cached_property
  def remake_steps(self) -> tuple[int, ...]:
    """The steps before which the rest of the order is arranged anew.

    Raises:
      InputError: nothing is left at one of them.
    """
    if not remaking.is_set(self.config.order):
      return ()
    steps = batches.steps_of(
        self.planned_ids(self.order.ids), self.config.train.batch_size
    )
    first = self.fork.step if self.fork else 0
    return remaking.find_steps(self.config.order, first, steps)

  @functools.cached_property
  def run(self) -> run_directory.RunDirectory:
    """The run's directory, which may not be there yet."""
    return run_directory.RunDirectory(
        self.config,
        self.workdir,
        self.store,
        self.order,
        self.start,
        self.fork,
        self.remake_steps,
    )

  def _check_remake(self) -> None:
    """Checks that the order has the steps before which it is arranged anew.

    Before anything is scored, that is known of its length at the most.
    """
    if not remaking.is_set(self.config.order):
      return
    size = len(self.store.split_ids(suite.TRAIN))
    if self.excluded is not None:
      size -= len(self.excluded)
    budget = getattr(self.config.order, "budget", -1)
    longest = size if budget < 0 else min(size, budget)
    steps = -(-longest // self.config.train.batch_size)
    first, begin = (self.fork.step, self.fork.begin) if self.fork else (0, 0)
    remaking.find_steps(self.config.order, first, begin + steps)

  def _check_checkpoint(self, artifact: pathlib.Path) -> None:
    """Checks the checkpoint of a fork before an artifact is made for it.

    Several processes leave it to the start of training, which checks it too.
    """
    if (
        self.fork
        and not artifacts.exists(artifact)
        and not hosts.is_distributed()
    ):
      with self.console.status("fork"):
        forking.check(self.fork)
