"""The stage train: one run, or several of one shape as one program."""

from collections.abc import Callable, Sequence
import functools
import pathlib

from zsgen.core import artifacts
from zsgen.core import mesh as mesh_lib
from zsgen.evals import together
from zsgen.pipeline import checks, evaluators, probe, remake
from zsgen.pipeline.experiment import Experiment
from zsgen.train import (
    averages,
    batches,
    checkpoints,
    job,
    layouts,
    loop,
    memory,
    optimizer,
    population,
    seqio_feed,
    tracing,
)
from zsgen.train import program as program_lib


def train(experiments: Sequence[Experiment]) -> list[pathlib.Path]:
  """Trains experiments that are not finished; returns the runs of all.

  Args:
    experiments: in one workdir; what their runs need is made for each. Those
      that are not finished are trained as one program.

  Raises:
    InputError: they are not of one shape, or see `zsgen.train.loop.train`.
    Stopped: SIGTERM came; a checkpoint is saved.
  """
  due = []
  for experiment in experiments:
    checks.check_evaluators(experiment.config)
    run = experiment.run
    digests = run.finished()
    if digests is None:
      due.append(experiment)
      continue
    run.begin()
    experiment.console.log(f"train    already finished: {run.path}")
    run.end(digests)
  for group in _split(due, len(due) < len(experiments)):
    digests = loop.train(_begin(group))
    for experiment, records in zip(group, digests, strict=True):
      experiment.run.end(records)
  return [experiment.run.path for experiment in experiments]


def _split(
    due: Sequence[Experiment], is_ending: bool
) -> list[Sequence[Experiment]]:
  """Splits experiments into those of one program each.

  If a population was killed while it wrote the results of its members, the
  others have checkpoints of the last step, each its own.

  Args:
    due: the experiments that are not finished.
    is_ending: whether there are some that are finished.
  """
  ended = [
      experiment
      for experiment in due
      if is_ending and checkpoints.are_in(experiment.run.path)
  ]
  population = [experiment for experiment in due if experiment not in ended]
  groups = [population, *([experiment] for experiment in ended)]
  return [group for group in groups if group]


def _begin(experiments: Sequence[Experiment]) -> job.Job:
  """Returns the job of experiments, whose directories are there."""
  members = [make_member(experiment) for experiment in experiments]
  first, log = experiments[0], experiments[0].console.log
  if len(members) == 1:
    first.run.begin(members[0].program.mesh)
    return job.make_single(members[0], log)
  recipe = {"members": [member.path.name for member in members]}
  name = artifacts.name("population", recipe)
  path = first.workdir / "populations" / name
  joined = join(path, members, log)
  memory.check_room(joined.program.mesh, joined.program.state_bytes)
  for experiment in experiments:
    experiment.run.begin(joined.program.mesh, name)
  if artifacts.fetch(path / artifacts.MANIFEST):
    artifacts.check_made_by(path, recipe)
  else:
    path.mkdir(parents=True, exist_ok=True)
    manifest = {"kind": "population", "made_by": recipe}
    artifacts.write_manifest(path, manifest)
    artifacts.publish_files([path / artifacts.MANIFEST])
  artifacts.fetch(path / artifacts.PROVENANCE)  # Earlier processes of a bucket.
  artifacts.add_provenance(path, dict(joined.program.mesh.shape))
  artifacts.publish_files([path / artifacts.PROVENANCE])
  return joined


def join(
    path: pathlib.Path,
    members: Sequence[job.Member],
    log: Callable[[str], None],
) -> job.Job:
  """Returns the job of several members; nothing is written.

  Args:
    path: the directory of its checkpoints.
    members: at least two.
    log: prints a line for people.

  Raises:
    InputError: the members do not fit into one program.
  """
  split = population.sharding(members[0].program.mesh, len(members))
  evaluate = functools.partial(together.evaluate_together, sharding=split)
  return job.make(path, members, evaluate, log)


def make_member(experiment: Experiment) -> job.Member:
  """Returns all that training a run needs; nothing is loaded or computed.

  Raises:
    InputError: the config does not fit its order, the devices or the store.
  """
  config, store, order = experiment.config, experiment.store, experiment.order
  planned = experiment.planned_ids(order.ids)
  steps = batches.steps_of(planned, config.train.batch_size)
  optimizer.check_steps(config.train, steps)
  tracing.check(config.profile, steps)
  checkpoints.check_steps(config.machine.keep_steps, steps)
  mesh = mesh_lib.make(config.machine.mesh)
  program = program_lib.make(config, experiment.start, mesh)
  averaged = averages.Averages(config.train, program.shardings.params, 1)
  average_bytes = averaged.bytes_per_device(program.shapes.params)
  memory.check_room(mesh, program.state_bytes + average_bytes)
  evaluations = evaluators.make(experiment, mesh)
  evaluations += averages.make_evaluators(config.train, evaluations)
  evaluations += probe.make(experiment, planned, mesh)
  ids = [order.ids, *(evaluator.ids for evaluator in evaluations)]
  checks.check_lengths(config, store, ids)
  return job.Member(
      path=experiment.run.path,
      config=config,
      program=program,
      feed=functools.partial(make_feed, experiment),
      lengths=layouts.sizes_of(store, planned),
      steps=steps,
      evaluators=evaluations,
      start=experiment.start,
      identity=experiment.run.identity,
      fork=experiment.fork,
      remake=remake.make(experiment, planned, mesh),
  )


def make_feed(experiment: Experiment, first: int) -> batches.Feed:
  """Returns batches from step `first` on, from the store or seqio over it."""
  config, store, order = experiment.config, experiment.store, experiment.order
  size, fork = config.train.batch_size, experiment.fork
  if config.data.feed == "seqio":
    begin = fork.begin if fork else 0
    feed = seqio_feed.seqio_feed(store, order.path, size, first - begin)
    return lambda step: feed(step - begin)
  return batches.store_feed(store, experiment.planned_ids(order.ids), size)
