"""The stages of an experiment: prepare → order → train → report.

Each leaves an artifact under the workdir and is skipped when it is there:

  stores/ embeddings/ scores/ orders/
                                shared by every run that needs the same
  runs/<name>-<hash>/           one run
  evaluations/<name>-<hash>/    what parameters show without training
  cache/                        compiled programs
"""

from collections.abc import Callable, Mapping, Sequence
import os
import pathlib
from typing import Any, NamedTuple

import ml_collections
import rich.console

from zsgen.core import config as config_lib
from zsgen.core import (
    errors,
    hosts,
    programs,
    sections,
    storage,
    terminal,
)
from zsgen.data import store as store_lib
from zsgen.data import tokenizers
from zsgen.pipeline import (
    checks,
    evaluate,
    export,
    plan,
    populations,
    report,
    train,
)
from zsgen.pipeline.experiment import Experiment
from zsgen.reports import batch_view
from zsgen.train import batches

_RUN: dict[str, Callable[[Experiment], Any]] = {
    "prepare": lambda experiment: experiment.store.path,
    "order": lambda experiment: experiment.order.path,
    "train": lambda experiment: train.train([experiment])[0],
    "report": report.report,
    "export": export.export,
    "evaluate": evaluate.evaluate,
    "plan": plan.plan,
}
STAGES = ("prepare", "order", "train", "report")
EXTRA_STAGES = ("export", "evaluate", "plan")
_WITHOUT_ORDER = {"prepare", "evaluate", "plan"}
_WITHOUT_MODEL = {"prepare", "order", "plan"}


class Result(NamedTuple):
  """Where the artifacts of an experiment are; None for stages not run."""

  store: pathlib.Path | None = None
  order: pathlib.Path | None = None
  run: pathlib.Path | None = None
  report: pathlib.Path | None = None
  evaluation: pathlib.Path | None = None


def run(
    config: (
        Mapping[str, object] | ml_collections.ConfigDict | config_lib.Config
    ),
    workdir: str | os.PathLike = "workdir",
    stages: Sequence[str] | None = None,
    console: rich.console.Console | None = None,
) -> Result:
  """Runs stages of an experiment; those whose artifact is there are skipped.

  Args:
    config: the options; unknown or wrong ones raise.
    workdir: directory of all artifacts; a local one, or gs://BUCKET/PATH.
    stages: of `STAGES` and `EXTRA_STAGES`; what they need is run too. All of
      `STAGES` by default.
    console: where lines for people go.

  Returns:
    Where the artifacts are; of those in a bucket, where the local copies are.

  Raises:
    InputError: bad options, sources, orders or artifacts.
    Stopped: training was asked to stop, and has saved.
  """
  notices = sections.notices(config)
  if not isinstance(config, config_lib.Config):
    config = config_lib.check(config)
  for stage in stages or ():
    if stage not in (*STAGES, *EXTRA_STAGES):
      raise errors.InputError(
          f"--stage={stage} is not known; there are"
          f" {', '.join((*STAGES, *EXTRA_STAGES))}."
      )
  if config.population != 1:
    raise errors.InputError(
        f"config.population is {config.population}, but this is one run: only"
        " a sweep trains several points as one program (python -m"
        " launch.sweep). Leave population out."
    )
  with hosts.joined([config], workdir, stages or STAGES):
    experiment = _open(config, workdir, console)
    for line in notices:
      experiment.console.log(line)
    selected = set(stages or STAGES)
    if selected - _WITHOUT_ORDER:
      checks.check_order(experiment.config)
    if selected - _WITHOUT_MODEL:
      checks.check_vocabulary(experiment.config)
    results = {stage: _RUN[stage](experiment) for stage in stages or STAGES}
  return Result(
      store=results.get("prepare") and experiment.store.path,
      order=results.get("order") and experiment.order.path,
      run=results.get("train"),
      report=results.get("report"),
      evaluation=results.get("evaluate"),
  )


def run_population(
    configs: Sequence[config_lib.Config],
    workdir: str | os.PathLike = "workdir",
    console: rich.console.Console | None = None,
) -> list[pathlib.Path]:
  """Trains several configs of one shape as one program; one as a run alone.

  Args:
    configs: checked; they differ in data, order, seed and hyper-parameters.
    workdir: directory of all artifacts; a local one, or gs://BUCKET/PATH.
    console: where lines for people go.

  Returns:
    The run of each: the same files as if it were alone.

  Raises:
    InputError: they are not of one shape, there are several processes, or see
      `run`.
  """
  with hosts.joined(configs, workdir, ["train"]):
    check_processes(len(configs))
    experiments = [_open(config, workdir, console) for config in configs]
    for experiment in experiments:
      checks.check_order(experiment.config)
      checks.check_vocabulary(experiment.config)
    return train.train(experiments)


def check_processes(members: int) -> None:
  """Checks that this process may train a population.

  Raises:
    InputError: there are several processes, and several members.
  """
  if hosts.is_distributed() and members > 1:
    raise errors.InputError(
        f"config.population is {members}, but a program of several runs needs"
        " one process: set it to 1, or start one process."
    )


def find_members(
    config: config_lib.Config,
    workdir: str | os.PathLike = "workdir",
    console: rich.console.Console | None = None,
) -> populations.Candidates:
  """Begins to choose the members of a population; nothing is trained.

  Args:
    config: the first one; `config.population` says how many there may be.
    workdir: directory of all artifacts; a local one, or gs://BUCKET/PATH.
    console: where lines for people go.

  Raises:
    InputError: see `populations.Candidates`.
  """

  def open_experiment(candidate: config_lib.Config) -> Experiment:
    """Opens the experiment of a candidate in the workdir."""
    return _open(candidate, workdir, console)

  return populations.Candidates(config, open_experiment)


def show_batch(
    config: Mapping[str, object] | ml_collections.ConfigDict,
    workdir: str | os.PathLike = "workdir",
    step: int | None = None,
) -> None:
  """Prints a batch as text, with the loss tokens marked.

  Args:
    config: as for `run`.
    workdir: directory of all artifacts.
    step: the step that consumes it; None for the first of the run.

  Raises:
    InputError: the run has no such step, or see `run`.
  """
  experiment = _open(config_lib.check(config), workdir)
  checks.check_order(experiment.config)
  store = experiment.store
  tokenizer = tokenizers.load(store.path / store_lib.TOKENIZER)
  step = _check_step(experiment, step)
  feed = train.make_feed(experiment, step)
  terminal.Console().print(batch_view.view(feed(step), store, tokenizer))


def _check_step(experiment: Experiment, step: int | None) -> int:
  """Returns a step of a run; its first one for None.

  Raises:
    InputError: the run has no such step.
  """
  first = experiment.fork.step if experiment.fork else 0
  ids = experiment.planned_ids(experiment.order.ids)
  last = batches.steps_of(ids, experiment.config.train.batch_size) - 1
  if step is None:
    return first
  if not first <= step <= last:
    raise errors.InputError(
        f"--show_batch={step}: the steps of this run are {first} to {last}."
    )
  return step


def _open(
    config: config_lib.Config,
    workdir: str | os.PathLike,
    console: rich.console.Console | None = None,
) -> Experiment:
  """Opens an experiment; compiled programs are kept in its workdir."""
  experiment = Experiment(config, storage.open_workdir(workdir), console)
  cache = experiment.workdir / "cache"
  if damaged := programs.keep(cache):
    experiment.console.log(
        f"cache    {damaged} compiled programs in {cache} were damaged; they"
        " are compiled again"
    )
  return experiment
