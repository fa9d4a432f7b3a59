"""The training loop, from top to bottom in the order things must happen."""

from collections.abc import Sequence
import contextlib
import functools
from typing import NamedTuple

import jax
import numpy as np

from zsgen.core import errors, hosts
from zsgen.models import lora as lora_lib
from zsgen.train import (
    averages,
    checkpoints,
    compiling,
    finite,
    flops,
    forking,
    memory,
    meter,
    optimizer,
    population,
    progress,
    record_digests,
    records,
    remaking,
    resuming,
    stopping,
    tracing,
    trees,
    watch,
    writers,
)
from zsgen.train import job as job_lib
from zsgen.train import journal as journal_lib
from zsgen.train import step as step_lib


def train(job: job_lib.Job) -> list[record_digests.Digests]:
  """Trains from the newest checkpoint, or from the start, to the end.

  Writes metrics, evaluations and consumed ids to the directory of each member,
  and checkpoints to `job.path`. Killed at any moment and called again, it
  leaves the same bytes.

  Args:
    job: what to train, on what, under which orders.

  Returns:
    Digests of the records of each member's whole run, in process 0.

  Raises:
    InputError: a damaged checkpoint, a loss that is not finite, a device that
      is out of memory, or another process that trains one of the runs.
    Stopped: SIGTERM came; a checkpoint is saved.
  """
  with contextlib.ExitStack() as stack:
    # It closes last: a checkpoint is not kept waiting by a compilation.
    executables = stack.enter_context(
        compiling.Executables(
            job.program,
            job.layouts.split,
            job.config.train.batch_size,
            len(job.members),
        )
    )
    stack.enter_context(
        memory.explained(
            job.config,
            job.program.mesh,
            job.layouts.largest,
            job.program.state_bytes,
            len(job.members),
        )
    )
    leases = {
        member.path: member.config.machine.lease for member in job.members
    }
    stack.enter_context(records.lock_all(leases, job.log))
    # Until the last checkpoint is committed.
    stop = stack.enter_context(stopping.Stopping(job.path.name))
    saved = stack.enter_context(open_checkpoints(job))
    return _train(job, saved, stop, executables, stack)


def _train(
    job: job_lib.Job,
    saved: checkpoints.Checkpoints,
    stop: stopping.Stopping,
    executables: compiling.Executables,
    stack: contextlib.ExitStack,
) -> list[record_digests.Digests]:
  """`train`, with its checkpoints; what it opens is closed by the stack."""
  members, program, steps = job.members, job.program, job.steps

  # The state: a checkpoint's, the parent's, or new.
  averaged = _averages(job, len(members))
  begin = _begin(job, saved, averaged)
  first, is_continued = begin.first, begin.is_continued
  course = job.course(first)
  executables.start(course.layouts.needed(first), _hyper_at(job, first))
  job_lib.describe(job, first, course.layouts)

  # Records, cut back to the checkpoint.
  journal = _open_journal(job, begin, stack)
  state, frozen = begin.state, begin.frozen
  del begin  # The first step overwrites its state.

  trace = tracing.Trace(job.path, job.config.profile, job.log)
  stack.callback(trace.close)
  pending = None
  stop.listen()
  for step in range(first, steps + 1):
    resumed_here = step == first and is_continued
    trace.end(step, state)

    # Evaluate; a checkpoint is saved after its step's evaluation.
    if not resumed_here:
      averaged.update(step, state.params)
      if due := job.due_evaluations(step):
        pending = journal.step(pending)
        _evaluate(due, journal, step, averaged, state, frozen)

    # Save; whatever the checkpoint counts is durable before it.
    stopped = step < steps and stop.reached(step)
    if (job.is_saved(step) or stopped) and not resumed_here:
      pending = journal.step(pending)
      _save(job, saved, journal, step, averaged.pack(state))
      executables.seal()

    if stopped:
      raise errors.Stopped(stopping.describe_stop(step, steps))
    if step == steps:
      break

    # Arrange the rest of the order anew; it is written before it is consumed.
    if course.is_remade(step):
      pending = journal.step(pending)
      _remake(job, course, journal, executables, step, state, frozen)

    # Train, and log the step before while this one runs.
    with journal.feeding(pending):
      batch = course.batch(step)
      arrays = program.put(batch)
    hyper, shape = _hyper_at(job, step), course.layouts.shape(step)
    if journal.is_new(shape):
      pending = journal.step(pending)
      with journal.compiling(shape):
        executables.wait(shape)
    trace.begin(step, state)
    state, metrics = executables.wait(shape)(state, frozen, arrays, hyper)
    journal.step(pending)
    pending = journal_lib.Pending(
        step=step,
        hyper=hyper,
        metrics=metrics,
        lengths=batch.lengths,
        slots=batch.tokens.size,
        loss_tokens=int(np.count_nonzero(batch.loss_positions)),
    )
  journal.summarize()
  digests = journal.sync()
  if len(members) > 1:
    _save_members(job, steps, averaged.pack(state), digests)
  return digests


def _averages(
    owner: job_lib.Job | job_lib.Member, members: int
) -> averages.Averages:
  """Returns the averages of a job of several members, or of a run."""
  shardings = owner.program.shardings.params
  return averages.Averages(owner.config.train, shardings, members)


def _evaluate(
    evaluations: Sequence[job_lib.Evaluation],
    journal: journal_lib.Journal,
    step: int,
    averaged: averages.Averages,
    state: step_lib.State,
    frozen: trees.Params,
) -> None:
  """Evaluates parameters, and averages of them, and logs the results."""
  for evaluation in evaluations:
    params = state.params
    if evaluation.average:
      params = averaged.params(evaluation.average, step)
    results = evaluation.run(lora_lib.join(params, frozen))
    journal.evaluation(evaluation.evaluators, step, results)


def _remake(
    job: job_lib.Job,
    course: remaking.Course,
    journal: journal_lib.Journal,
    executables: compiling.Executables,
    step: int,
    state: step_lib.State,
    frozen: trees.Params,
) -> None:
  """Begins a segment of the order, and to compile the programs it needs."""
  with journal.remaking(step):
    course.remake(remaking.RunState(step, state, frozen))
  executables.start(course.layouts.needed(step), _hyper_at(job, step))


def _hyper_at(job: job_lib.Job, step: int) -> optimizer.Hyper:
  """Returns the hyper-parameters of a step, those of all members stacked."""
  return population.stack(
      [
          optimizer.hyper_at(
              run.config.train,
              step,
              optimizer.schedule_steps(
                  run.config.train, len(run.lengths.tokens)
              ),
          )
          for run in job.members
      ]
  )


class _Begin(NamedTuple):
  """What training starts from.

  Attributes:
    first: the first step.
    is_continued: whether `first` was evaluated and saved before.
    state: of all members, on the devices.
    frozen: the parameters of all members that are not trained.
    digests: of the records to keep, for each member; those of the parents if
      the members are forks that have not saved yet.
    advice: what `finite.advise` needs, of each member.
    is_fork: whether the records are those of the parents.
  """

  first: int
  is_continued: bool
  state: step_lib.State
  frozen: trees.Params
  digests: list[record_digests.Digests]
  advice: list[finite.Beginning]
  is_fork: bool = False


def _begin(
    job: job_lib.Job,
    saved: checkpoints.Checkpoints,
    averaged: averages.Averages,
) -> _Begin:
  """Returns what training starts from: the newest checkpoint if there is one."""
  latest = hosts.broadcast("newest checkpoint", saved.latest())
  if latest is not None:
    return _restored(job, saved, latest, averaged)
  return _forked(job, averaged) if job.members[0].fork else _new(job)


def _new(job: job_lib.Job) -> _Begin:
  """Loads the parameters before the first step."""
  rest = "; and so on" if len(job.members) > 1 else ""
  job.log(f"start    {job.members[0].start.description}{rest}")
  states = [
      run.program.init(run.start.load(run.program.shardings.params))
      for run in job.members
  ]
  frozen = [load_frozen(run) for run in job.members]
  advice = [
      finite.look_at(lora_lib.join(state.params, params), run.start.description)
      for run, state, params in zip(job.members, states, frozen, strict=True)
  ]
  return _Begin(
      first=0,
      is_continued=False,
      state=population.stack(states, job.program.shardings),
      frozen=population.stack(frozen, job.program.frozen_shardings),
      digests=[{} for _ in job.members],
      advice=advice,
  )


def _forked(job: job_lib.Job, averaged: averages.Averages) -> _Begin:
  """Loads the checkpoints that the members were forked from."""
  states, digests = [], []
  for run in job.members:
    assert run.fork is not None, "members begin with the same step"
    job.log(
        f"start    the state of step {run.first} of {run.fork.run}, which goes"
        " on under another order"
    )
    single, program = _averages(run, 1), run.program
    like = checkpoints.like(
        single.shapes(program.shapes), single.shardings(program.shardings)
    )
    state, records_before = forking.load(run.path, run.fork, like)
    states.append(state)
    digests.append(records_before)
  frozen = [load_frozen(run) for run in job.members]
  return _Begin(
      first=job.members[0].first,
      is_continued=True,
      state=averaged.unpack(
          population.stack(states, averaged.shardings(job.program.shardings))
      ),
      frozen=population.stack(frozen, job.program.frozen_shardings),
      digests=digests,
      advice=[finite.Beginning(run.start.description) for run in job.members],
      is_fork=True,
  )


def _restored(
    job: job_lib.Job,
    saved: checkpoints.Checkpoints,
    latest: int,
    averaged: averages.Averages,
) -> _Begin:
  """Loads the newest checkpoint, and checks what it depends on."""
  job.log(f"start    the checkpoint of step {latest}: this run stopped there")
  runs = [run.path for run in job.members]
  problem = functools.partial(resuming.first_problem, runs)
  like = checkpoints.like(
      averaged.shapes(job.program.shapes),
      averaged.shardings(job.program.shardings),
  )
  state, packed = resuming.newest(saved, like, problem, job.path)
  if not saved.has_checksums(latest):
    job.log(f"start    {checkpoints.UNCHECKED}")
  digests = resuming.unpack(packed)
  for run, expected in zip(runs, digests, strict=True):
    for line in record_digests.lost_clocks(run, expected):
      job.log(f"start    {line}")
  frozen = [load_frozen(run) for run in job.members]
  return _Begin(
      first=latest,
      is_continued=True,
      state=averaged.unpack(state),
      frozen=population.stack(frozen, job.program.frozen_shardings),
      digests=digests,
      advice=[finite.Beginning(run.start.description) for run in job.members],
  )


def _open_journal(
    job: job_lib.Job,
    begin: _Begin,
    stack: contextlib.ExitStack,
) -> journal_lib.Journal:
  """Opens the records of each member, cut back to a checkpoint."""
  start, program = job.members[0].start, job.members[0].program
  counted = flops.count_flops(
      start.arch, program.shapes.params, program.frozen_shapes
  )
  peak = flops.peak(program.mesh.devices)
  job.log(f"mfu      {peak.describe(counted)}")
  line = stack.enter_context(
      progress.Progress(begin.first, job.steps, hosts.console())
  )
  loggers = []
  for run, digests, advice in zip(
      job.members, begin.digests, begin.advice, strict=True
  ):
    is_kept = begin.is_continued and not begin.is_fork
    record = records.open_records(
        path=run.path,
        batch_size=run.config.train.batch_size,
        steps=run.steps,
        evaluated=run.evaluated(),
        digests=digests if is_kept else {},
        first=begin.first if is_kept else 0,
        resumed=is_kept,
    )
    stack.callback(record.close)
    if begin.is_fork and run.fork:
      forking.inherit(record, run, run.fork, digests)
    sinks = []
    if hosts.is_first():
      sinks = writers.make(
          run.config.machine, run.path, begin.first, run.headlines
      )
    for sink in sinks:
      stack.callback(sink.close)
    advise = functools.partial(finite.advise, advice, run.config)
    loggers.append(watch.Logger(run.path, record, sinks, line, advise))
  clock = meter.Meter(counted, peak)
  return journal_lib.Journal(loggers, clock, job.log, job.steps)


def _save(
    job: job_lib.Job,
    saved: checkpoints.Checkpoints,
    journal: journal_lib.Journal,
    step: int,
    state: step_lib.State | averages.Averaged,
) -> None:
  """Saves the state before a step, and of steps to keep that of each member."""
  digests = journal.sync()
  if len(job.members) > 1 and step in job.config.machine.keep_steps:
    _save_members(job, step, state, digests)
  saved.save(step, state, resuming.pack(digests))
  journal.saved(step)


def _save_members(
    job: job_lib.Job,
    step: int,
    state: step_lib.State | averages.Averaged,
    digests: list[record_digests.Digests],
) -> None:
  """Saves each member's own checkpoint of a step, unless it is there."""
  states = population.unstack(jax.device_get(state), len(job.members))
  for run, values, expected in zip(job.members, states, digests, strict=True):
    with open_checkpoints(run) as saved:
      if step not in saved.steps():
        shardings = _averages(run, 1).shardings(run.program.shardings)
        placed = jax.device_put(values, shardings)
        saved.save(step, placed, resuming.pack([expected]))


def load_final(run: job_lib.Member) -> trees.Params:
  """Returns the trained parameters after the last step of a finished run.

  Raises:
    InputError: its checkpoint is missing or damaged.
  """
  state = checkpoints.like(run.program.shapes, run.program.shardings)
  with checkpoints.Finished(run.path, run.identity) as saved:
    return resuming.last(saved, run.steps, state.params, run.path)


def load_frozen(run: job_lib.Member) -> trees.Params:
  """Returns the parameters that are not trained; {} without adapters."""
  return run.start.load_frozen(run.program.frozen_shardings)


def open_checkpoints(
    owner: job_lib.Job | job_lib.Member,
) -> checkpoints.Checkpoints:
  """Opens the checkpoints of a job or of a run, to read and write them."""
  path, machine = owner.path / checkpoints.NAME, owner.config.machine
  return checkpoints.Checkpoints(
      path, machine.keep, owner.identity, machine.keep_steps
  )
