"""What the training loop is given: the members of a job, as one program.

A single run is a population of one: its program, batches and parameters are
those of its only member, and nothing is stacked.
"""

from collections.abc import Callable, Sequence
import functools
import pathlib
from typing import Any, NamedTuple

import numpy as np

from zsgen.core import artifacts, errors
from zsgen.core import config as config_lib
from zsgen.models import lora as lora_lib
from zsgen.train import (
    averages,
    batches,
    flops,
    layout_plan,
    layouts,
    lineage,
    population,
    remaking,
    shape_search,
    starts,
    trees,
)
from zsgen.train import metrics as metrics_lib
from zsgen.train import program as program_lib

# Attributes of a config that all members must have in common.
_COMMON = (
    "model",
    "lora.rank",
    "lora.targets",
    "train.batch_size",
    "train.loss_groups",
    "train.first_moment",
    "train.ema",
    "train.mean_of",
    "train.mean_every",
    "machine.mesh",
    "machine.remat",
    "machine.logits_chunk",
    "machine.attention",
    "machine.micro_batches",
    "machine.layouts",
    "machine.save_every",
    "machine.keep_steps",
    "profile",
)

# Given the parameters of a job, returns the result of each member.
Evaluate = Callable[[trees.Params], Sequence[metrics_lib.Evaluation]]


class Member(NamedTuple):
  """One run.

  Attributes:
    path: the run's directory.
    config: its options.
    program: the device program of this run alone.
    feed: given the step to start at, returns what the steps consume.
    lengths: sizes of the examples of its order.
    steps: the number of steps.
    evaluators: its evaluations.
    start: parameters before the first step.
    identity: a digest of all that decides the result; marks its checkpoints.
    fork: what it was forked from; None if it begins with step 0.
    remake: arranges the rest of its order anew; None for a static order.
  """

  path: pathlib.Path
  config: config_lib.Config
  program: program_lib.Program
  feed: Callable[[int], batches.Feed]
  lengths: layouts.Lengths
  steps: int
  evaluators: Sequence[metrics_lib.Evaluator]
  start: starts.Start
  identity: str
  fork: lineage.Fork | None = None
  remake: remaking.Remake | None = None

  @property
  def first(self) -> int:
    """The step that it begins with."""
    return self.fork.step if self.fork else 0

  @property
  def headlines(self) -> list[str]:
    """Paths of the metrics that dashboards show first."""
    paths = [
        f"{evaluator.name}/{evaluator.headline.name}"
        for evaluator in self.evaluators
    ]
    return [*paths, "train/loss"]

  def evaluated(self) -> dict[str, tuple[list[int], np.ndarray]]:
    """Returns the steps of each evaluation, and the ids of its rows.

    Raises:
      InputError: it is a fork, and its parent's evaluations cannot be read.
    """
    return {
        evaluator.name: (self._evaluated_steps(evaluator), evaluator.ids)
        for evaluator in self.evaluators
    }

  def _evaluated_steps(self, evaluator: metrics_lib.Evaluator) -> list[int]:
    """Returns the steps of an evaluation, those of the parent included."""
    before, first = [], 0
    if self.fork:
      before = lineage.evaluated_steps(self.fork, evaluator.name)
      first = self.fork.step + 1
    due = [
        step
        for step in range(first, self.steps + 1)
        if evaluator.is_due(step, self.steps)
    ]
    return before + due


class Evaluation(NamedTuple):
  """One evaluation of all members.

  Attributes:
    evaluators: that of each member.
    run: given the parameters of the job, returns the result of each member.
    average: the average of the parameters that is evaluated; "" for none.
  """

  evaluators: Sequence[metrics_lib.Evaluator]
  run: Evaluate
  average: str = ""


class Job(NamedTuple):
  """All that is trained as one program.

  Attributes:
    path: the directory of its checkpoints; a single run's own.
    members: the runs, at least one.
    program: the device program of all members.
    layouts: shapes of the batches of all members, up to the step before which
      their orders are remade.
    evaluations: what is evaluated.
    log: prints a line for people.
  """

  path: pathlib.Path
  members: Sequence[Member]
  program: program_lib.Program
  layouts: layouts.Layouts
  evaluations: Sequence[Evaluation]
  log: Callable[[str], None]

  @property
  def config(self) -> config_lib.Config:
    """The config of the first member; see `check` for what all share."""
    return self.members[0].config

  @property
  def steps(self) -> int:
    """The number of steps, the same for all members."""
    return self.members[0].steps

  def course(self, first: int) -> remaking.Course:
    """Returns what the steps consume, of which `first` is the first.

    Raises:
      InputError: see `remaking.Course`.
    """
    members = self.members
    return remaking.Course(
        [member.feed(first) for member in members],
        self.layouts,
        self.config.train.batch_size,
        lambda sizes, earlier: plan_layouts(members, [sizes], earlier),
        members[0].remake,
        first,
    )

  def due_evaluations(self, step: int) -> list[Evaluation]:
    """Returns the evaluations of a step, those of any member."""
    return [
        evaluation
        for evaluation in self.evaluations
        if any(
            evaluator.is_due(step, self.steps)
            for evaluator in evaluation.evaluators
        )
    ]

  def is_saved(self, step: int) -> bool:
    """Returns whether the state before a step is saved."""
    machine = self.config.machine
    is_regular = step > 0 and metrics_lib.is_due(
        step, machine.save_every, self.steps
    )
    # What an order is remade by is saved first: a kill repeats no step.
    return is_regular or step in (*machine.keep_steps, *self.remade_before)

  @property
  def remade_before(self) -> tuple[int, ...]:
    """The steps before which the rest of the order is arranged anew."""
    remake = self.members[0].remake
    return remake.steps if remake else ()

  @property
  def identity(self) -> str:
    """What marks the checkpoints of the job."""
    if len(self.members) == 1:
      return self.members[0].identity
    return artifacts.digest([member.identity for member in self.members])


def make(
    path: pathlib.Path,
    members: Sequence[Member],
    evaluate: Callable[[Sequence[metrics_lib.Evaluator]], Evaluate],
    log: Callable[[str], None],
) -> Job:
  """Returns the job of several members, or of one.

  Args:
    path: the directory of its checkpoints.
    members: the runs.
    evaluate: given the same evaluator of each member, evaluates all of them.
    log: prints a line for people.

  Raises:
    InputError: the members do not fit into one program.
  """
  check(members)
  evaluations: dict[str, Evaluation] = {}
  for evaluators in zip(
      *(member.evaluators for member in members), strict=True
  ):
    name, first = evaluators[0].name, evaluators[0]
    if isinstance(first, averages.Evaluator):
      run = evaluations[first.evaluator.name].run
      evaluations[name] = _averaged(evaluators, first.average, run)
    else:
      evaluations[name] = Evaluation(evaluators, evaluate(evaluators))
  return Job(
      path=path,
      members=members,
      program=population.join([member.program for member in members]),
      layouts=_plan(members),
      evaluations=list(evaluations.values()),
      log=log,
  )


def describe(job: Job, first: int, planned: layouts.Layouts) -> None:
  """Prints what is trained from a step on, in which shapes."""
  start, program = job.members[0].start, job.members[0].program
  if start.lora.rank:
    line = lora_lib.describe(
        start.lora, program.shapes.params, program.frozen_shapes
    )
    job.log(f"lora     {line}")
  count = len(job.members)
  members = f"{count} members " if count > 1 else ""
  job.log(f"train    {members}from step {first} of {job.steps}: {job.path}")
  job.log(f"layouts  {planned.describe()}")


def _averaged(
    evaluators: Sequence[averages.Evaluator], average: str, run: Evaluate
) -> Evaluation:
  """Returns the evaluation of an average, computed as that of the parameters.

  Args:
    evaluators: of the average, that of each member.
    average: its name.
    run: evaluates parameters.
  """

  def rename(params: trees.Params) -> list[metrics_lib.Evaluation]:
    """Evaluates parameters, and names the results after the average."""
    return [
        evaluator.rename(result)
        for evaluator, result in zip(evaluators, run(params), strict=True)
    ]

  return Evaluation(evaluators, rename, average)


def _plan(members: Sequence[Member]) -> layouts.Layouts:
  """Returns the shapes in which the steps of all members fit.

  Of an order that is remade, these are the steps before that.
  """
  lengths = [member.lengths for member in members]
  if remake := members[0].remake:
    end = remake.steps[0] * members[0].config.train.batch_size
    lengths = [lengths[0].take(slice(end))]
  return plan_layouts(members, lengths)


def plan_layouts(
    members: Sequence[Member],
    lengths: Sequence[layouts.Lengths],
    earlier: Sequence[layouts.Shape] = (),
) -> layouts.Layouts:
  """Returns the shapes of successive steps.

  Args:
    members: of one program.
    lengths: of the examples of each member's steps.
    earlier: shapes of steps before these.
  """
  config = members[0].config
  # Of several members, each is on one device.
  is_single = len(members) == 1
  program, parts = members[0].program, config.machine.micro_batches
  split = layouts.Split(parts=parts)
  if is_single:
    split = layouts.split_on(program.mesh, parts)
  counted = flops.count_flops(
      members[0].start.arch, program.shapes.params, program.frozen_shapes
  )
  return layout_plan.plan(
      lengths,
      config.train.batch_size,
      split,
      config.machine.layouts,
      shape_search.cost_of(counted),
      earlier,
  )


def make_single(member: Member, log: Callable[[str], None]) -> Job:
  """Returns the job of a single run."""
  return make(member.path, [member], _evaluate_single, log)


def _evaluate_single(evaluators: Sequence[metrics_lib.Evaluator]) -> Evaluate:
  (evaluator,) = evaluators
  return lambda params: [evaluator(params)]


def check(members: Sequence[Member]) -> None:
  """Raises InputError for members that do not fit into one program."""
  for member in members[1:]:
    if difference := find_difference(members[0], member):
      raise errors.InputError(
          f"config.population: {difference}. Members must be of one shape:"
          " train these apart (config.population=1)."
      )


def find_difference(first: Member, other: Member) -> str:
  """Returns what keeps two members out of one program; "" for nothing."""
  return find_config_difference(first.config, other.config) or _compare(
      first.config, other.config, _shape(first), _shape(other)
  )


def find_config_difference(
    first: config_lib.Config, other: config_lib.Config
) -> str:
  """Returns what `find_difference` knows before there are orders.

  Args:
    first: the config of a member, with the architecture of its start.
    other: that of another one.
  """
  return _compare(first, other, _common(first), _common(other))


def _compare(
    first: config_lib.Config,
    other: config_lib.Config,
    expected: dict[str, Any],
    actual: dict[str, Any],
) -> str:
  """Returns the first difference between values that members must share."""
  for name, value in expected.items():
    if actual[name] != value:
      return (
          f"{name} is {actual[name]!r} in {other.name} and {value!r} in"
          f" {first.name}"
      )
  return ""


def _common(config: config_lib.Config) -> dict[str, Any]:
  """Returns the options that all members must have in common, by name."""
  return {
      f"config.{path}": functools.reduce(getattr, path.split("."), config)
      for path in _COMMON
  }


def _shape(member: Member) -> dict[str, Any]:
  """Returns what else must be the same in all members, by name."""
  return {
      # Evaluations of one name are computed as one program.
      "config.evals": [
          (evaluator.name, type(evaluator).__name__, evaluator.every_steps)
          for evaluator in member.evaluators
      ],
      "the step of config.fork": member.first,
      "steps": member.steps,
  }
