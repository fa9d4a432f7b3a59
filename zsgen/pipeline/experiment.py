"""One config in one workdir: its stages prepare, order, train, report."""

from collections.abc import Callable, Collection, Sequence
import dataclasses
import functools
import os
import pathlib
from typing import Any

import jax
import numpy as np
import rich.console

from zsgen import evals
from zsgen.core import artifacts, errors, hosts, plugins, schema, texts
from zsgen.core import config as config_lib
from zsgen.core import mesh as mesh_lib
from zsgen.data import prepare, sources, tokenizers
from zsgen.data import store as store_lib
from zsgen.data.sources import options
from zsgen.evals import api, metrics, subsets
from zsgen.models import execution
from zsgen.models import model as model_lib
from zsgen.orders import arrangements
from zsgen.orders import order as order_lib
from zsgen.reports import (
    curves,
    grids,
    origins,
    run_report,
    source_notes,
    task_counts,
)
from zsgen.train import (
    batches,
    loop,
    memory,
    optimizer,
    record_digests,
    seqio_feed,
    tracing,
    writers,
)
from zsgen.train import program as program_lib
from zsgen.train import start as start_lib


class Experiment:
  """One config in one workdir; what a stage needs is made when asked for."""

  def __init__(
      self,
      config: config_lib.Config,
      workdir: pathlib.Path,
      console: rich.console.Console | None = None,
  ):
    self.start = start_lib.of(config.model, config.seed, config.lora)
    self.config = dataclasses.replace(
        config, model=self.start.arch, lora=self.start.lora
    )
    schema.check_local(str(workdir), "--workdir")
    self.workdir = workdir.absolute()
    self.console = console or hosts.console()
    # Digests of a run that has ended, in process 0 after `finished`.
    self._records: record_digests.Digests = {}
    self._check_names()
    self._use_compile_cache()

  @functools.cached_property
  def store(self) -> store_lib.Store:
    """The prepare stage; process 0 does it, and the others wait."""
    store = self._prepared() if hosts.is_first() else None
    path = pathlib.Path(hosts.of_first("store", store and str(store.path)))
    if store is None:
      hosts.see(path)
      store = store_lib.open_store(path)
    hosts.agree("store", {"the store's fingerprint": store.fingerprint})
    self._check_evals(store.manifest["heldout"])
    self._check_choices(store)
    self._check_targets(store)
    return store

  def _prepared(self) -> store_lib.Store:
    """Opens the store, or makes it and says what is in it."""
    config = self.config
    made = prepare.path_of(self.workdir / "stores", config.data, config.seed)
    known = made.exists()
    store = self._told(
        "prepare",
        lambda: prepare.prepare(
            self.workdir / "stores",
            config.data,
            config.seed,
            self.say,
            lambda suite: self._check_evals(suite.heldout),
        ),
    )
    if not known:
      self.console.print(grids.to_rich(task_counts.grid(store)))
      self.console.print(grids.to_rich(origins.counted(store)))
      for line in source_notes.describe(store.manifest):
        self.say(line)
    return store

  @functools.cached_property
  def order(self) -> order_lib.Order:
    """The order stage."""
    order = self._told(
        "order",
        lambda: order_lib.make(
            self.workdir,
            self.store,
            self.config.order,
            self.config.seed,
            self.say,
        ),
    )
    hosts.agree("order", {"the order's fingerprint": order.fingerprint})
    return order

  @functools.cached_property
  def path(self) -> pathlib.Path:
    """The run's directory; its name hashes all that decides the result."""
    return self.workdir / "runs" / artifacts.name(self.config.name, self._made)

  def train(self) -> pathlib.Path:
    """The train stage; goes on where an earlier start was stopped."""
    if self.finished():
      digests = self._records
      self.begin()
      self.say(f"train    already finished: {self.path}")
    else:
      job = self.job()
      self.begin()
      digests = loop.train(job)
    self.end(digests)
    return self.path

  def begin(self) -> None:
    """Makes the run's directory, or checks that it is this run's."""
    if hosts.is_first():
      self.path.mkdir(parents=True, exist_ok=True)
      self._write_manifest()
    hosts.wait("the run's directory")
    hosts.see(self.path)

  def end(self, digests: record_digests.Digests) -> None:
    """Writes down what the run showed: it is finished.

    Args:
      digests: of its records, by which they are checked from now on; {} for
        those of an older version.
    """
    if hosts.is_first():
      result = run_report.result(self.path)
      if digests:
        result["records"] = record_digests.without_clocks(digests)
      artifacts.write_sealed(
          self.path / record_digests.RESULT, result, self._identity
      )

  def report(self) -> pathlib.Path:
    """The report stage: the page, and the closing table."""
    if not self.finished():
      self.train()
    page = None
    if hosts.is_first():
      run = curves.open_run(self.path)
      page = run_report.write(run, self.store, self.order)
      self.console.print(run_report.table(run))
      if run.lost_clocks:
        self.say(f"report   {run.lost_clocks}")
      self.say(f"report   {page}")
    return pathlib.Path(hosts.of_first("report", page and str(page)))

  def finished(self) -> bool:
    """Whether the run has ended; all processes must ask.

    Raises:
      InputError: it has, and its records are not what it wrote.
    """
    there = (self.path / record_digests.RESULT).exists()
    if there and hosts.is_first():
      if not (self.path / artifacts.MANIFEST).exists():
        self._write_manifest()  # It was damaged and deleted, as advised.
      self._records = record_digests.check_finished(self.path)
    return hosts.of_first("finished", there)

  def job(self) -> loop.Job:
    """All that training needs."""
    config, order = self.config, self.order
    steps = batches.steps_of(order.ids, config.train.batch_size)
    optimizer.check_steps(config.train, steps)
    tracing.check(config.profile, steps)
    mesh = mesh_lib.make(config.machine.mesh)
    program = program_lib.make(config, self.start, mesh)
    memory.check_room(mesh, program.held)
    evaluators = self.evaluators(mesh)
    self.check_longest([order.ids, *(each.ids for each in evaluators)])
    return loop.Job(
        path=self.path,
        config=config,
        program=program,
        feed=self.feed,
        layouts=self._layouts(mesh),
        steps=steps,
        evaluators=evaluators,
        start=self.start,
        identity=self._identity,
        say=self.say,
    )

  def feed(self, first: int) -> batches.Feed:
    """Batches from step `first` on, from the store or from seqio over it."""
    size = self.config.train.batch_size
    if self.config.data.feed == "seqio":
      return seqio_feed.seqio_feed(self.store, self.order.path, size, first)
    return batches.store_feed(self.store, self.order.ids, size)

  def evaluators(self, mesh: jax.sharding.Mesh) -> list[api.Evaluator]:
    """The evaluations of the config; says which do not take all examples."""
    device = mesh.devices.flat[0]
    asked = self.config.machine.attention
    attention = execution.chosen(asked, device, self.config.model)
    if device.platform != "cpu":  # There it is no choice.
      self.say(f"attend   {attention.backend}: {attention.why}")
    context = api.Context(
        store=self.store,
        model=model_lib.Model.from_config(
            self.config.model,
            self.config.lora,
            execution.of(self.config.machine, mesh, self.config.model),
        ),
        mesh=mesh,
        batch_size=self.config.train.batch_size,
        seed=self.config.seed,
    )
    made = [
        evals.make(name, spec, context)
        for name, spec in self.config.evals.items()
    ]
    for each in made:
      tasks = self.store.task_index[each.examples]
      many = len(np.unique(tasks)) > subsets.MOST_TASKS
      if many or len(each.examples) < each.of:
        told = subsets.told(each.name, each.examples, each.of, tasks)
        self.say(f"evals    {told}")
    return made

  def check_longest(self, ids: Sequence[np.ndarray]) -> None:
    """Raises InputError for rows that the model has no positions for."""
    longest = int(self.store.lengths[np.concatenate(ids)].max())
    if longest > self.config.model.max_positions:
      raise errors.InputError(
          f"config.model.max_positions is {self.config.model.max_positions},"
          f" but the longest example has {longest} tokens: lower"
          " config.data.max_length."
      )

  def _layouts(self, mesh: jax.sharding.Mesh) -> batches.Layouts:
    """Shapes for the order's steps."""
    lengths = self.store.lengths[self.order.ids]
    return batches.plan(
        lengths=lengths,
        longest=int(lengths.max()),
        batch_size=self.config.train.batch_size,
        shards=mesh_lib.row_shards(mesh) * self.config.machine.micro_batches,
        shapes=self.config.machine.layouts,
    )

  @functools.cached_property
  def _made(self) -> dict[str, Any]:
    """All that decides the run's result; weights by content, not by place."""
    science = config_lib.science(self.config)
    del science["model"]["init"]
    made = {
        **{key: science[key] for key in ("seed", "model", "train")},
        "evals": {
            name: evals.science(spec)
            for name, spec in self.config.evals.items()
        },
        "order": self.order.fingerprint,
        **self.weights(),
    }
    made["train"] |= plugins.fingerprint("schedule", self.config.train.schedule)
    # Each process reads the weights, and what they bring along, by itself.
    hosts.agree("run", {"run": made})
    return made

  @property
  def _identity(self) -> str:
    """What marks the files of the run: a digest of `_made`."""
    return artifacts.digest(self._made)

  def weights(self) -> dict[str, Any]:
    """What parameters are made of: the base, and adapters if there are any."""
    made: dict[str, Any] = {"weights": self.start.fingerprint}
    if self.config.lora.rank:
      lora = config_lib.science(self.config.lora)
      made["lora"] = {**lora, "adapters": self.start.adapters}
    return made

  def _write_manifest(self) -> None:
    """Writes what the run is made of, or checks what is there.

    The config is written at every start: what is the machine's may change.
    """
    manifest = self.path / artifacts.MANIFEST
    if manifest.exists():
      artifacts.check_made_by(self.path, self._made)
    config = config_lib.to_dict(self.config)
    artifacts.write_sealed(self.path / "config.json", config, self._identity)
    if manifest.exists():
      return
    size = self.config.train.batch_size
    artifacts.write_manifest(
        self.path,
        {
            "kind": "run",
            "made_by": self._made,
            "store": os.path.relpath(self.store.path, self.path),
            "order": os.path.relpath(self.order.path, self.path),
            "batch_size": size,
            "steps": batches.steps_of(self.order.ids, size),
        },
    )

  def _check_names(self) -> None:
    """Raises InputError for what can be wrong before any work is done.

    That is all that the config alone says: whether an artifact exists already
    makes no difference.
    """
    sources.check(self.config.data)
    metrics.check_targets(self.config.evals, self.config.targets)
    if heldout := options.heldout(self.config.data):
      self._check_evals(heldout)
    arrangements.check_target(self.config.order)
    if hosts.is_first():
      writers.check(self.config.machine)
    model_lib.Model.from_config(self.config.model, self.config.lora)
    if self.config.machine.export == "adapter" and not self.config.lora.rank:
      raise errors.InputError(
          "config.machine.export is 'adapter', but config.lora.rank is 0: there"
          " are no adapters. Set a rank, or config.machine.export='merged'."
      )

  def check_order(self) -> None:
    """Raises InputError if the order cannot be made, for want of its file.

    Preparing does without, so that the file can be written from the store's
    ids.
    """
    arrangements.parameters(self.config.order)

  def _check_evals(self, known: Collection[str]) -> None:
    """Raises InputError if an evaluation's held-out set is not known."""
    for name, spec in self.config.evals.items():
      if spec.split not in known:
        raise errors.InputError(
            f"config.evals.{name}.split: there is no held-out set"
            f" {spec.split!r}.{errors.did_you_mean(spec.split, known)}"
            f" {self.config.data.source} has: {', '.join(known)}."
        )

  def _check_targets(self, store: store_lib.Store) -> None:
    """Raises InputError for a target of a task that no evaluation has."""
    evaluated = {
        split: [store.tasks[task] for task in store.split_tasks(split)]
        for split in store.manifest["heldout"]
    }
    metrics.check_targets(self.config.evals, self.config.targets, evaluated)

  def _check_choices(self, store: store_lib.Store) -> None:
    """Raises InputError if an evaluation is to choose, and there is nothing."""
    for name, spec in self.config.evals.items():
      if evals.declaration(spec).rows == api.CHOICES:
        try:
          store.choices(spec.split)
        except errors.InputError as error:
          raise errors.InputError(f"config.evals.{name}: {error}") from error

  def check_vocabulary(self) -> None:
    """Raises InputError if the model has no row for some token."""
    rows = self.config.model.vocab_size
    tokenizer = tokenizers.get(self.config.data)
    content = {"what config.data.tokenizer_path holds": tokenizer.fingerprint}
    hosts.agree("tokenizer", content)
    needed = tokenizer.vocab_size
    if needed <= rows:
      return
    hint = ""
    if self.config.model.init != "new":
      hint = (
          f" The parameters of config.model.init={self.config.model.init!r} are"
          " of another vocabulary: set it to 'new' too."
      )
    raise errors.InputError(
        f"config.model.vocab_size is {rows}, but the tokenizer has {needed}"
        f" ids: set it to {needed} or more.{hint}"
    )

  def _use_compile_cache(self) -> None:
    """Keeps compiled programs in the workdir: a second start is quick."""
    jax.config.update("jax_compilation_cache_dir", str(self.workdir / "cache"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

  def _told(self, stage: str, make: Callable[[], Any]) -> Any:
    """Makes an artifact under a spinner and says where it is."""
    with self.console.status(stage):
      made = make()
    self.say(f"{stage:8} {made.path}")
    return made

  def say(self, line: str) -> None:
    self.console.print(texts.message(line), markup=False, emoji=False)
