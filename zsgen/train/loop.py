"""The training loop, from top to bottom in the order things must happen."""

from collections.abc import Callable, Sequence
import contextlib
import functools
import pathlib
from typing import Any, NamedTuple

from zsgen.core import config as config_lib
from zsgen.core import errors, hosts
from zsgen.models import lora as lora_lib
from zsgen.train import (
    batches,
    checkpoints,
    finite,
    flops,
    memory,
    meter,
    optimizer,
    progress,
    record_digests,
    records,
    resuming,
    stopping,
    tracing,
    watch,
    writers,
)
from zsgen.train import program as program_lib
from zsgen.train import start as start_lib
from zsgen.train import step as step_lib


class Job(NamedTuple):
  """All that a run is made of."""

  path: pathlib.Path
  config: config_lib.Config
  program: program_lib.Program
  feed: Callable[[int], batches.Feed]  # from the step to go on from
  layouts: batches.Layouts
  steps: int
  evaluators: Sequence[watch.Evaluator]
  # Parameters before the first step.
  start: start_lib.Start
  # Digest of all that decides the run's result: marks its checkpoints.
  identity: str
  # Says a line to people.
  say: Callable[[str], None]


def train(job: Job) -> record_digests.Digests:
  """Trains from the newest checkpoint, or from the start, to the end.

  Writes metrics, evaluations, consumed ids and checkpoints to `job.path`.
  Killed at any moment and called again, it leaves the same bytes.

  Args:
    job: what to train, on what, under which order.

  Returns:
    Digests of the records of the whole run, in process 0.

  Raises:
    InputError: a damaged checkpoint, a loss that is not finite, a device that
      is out of memory, or another process that trains this run.
    Stopped: SIGTERM came; a checkpoint is saved.
  """
  with contextlib.ExitStack() as stack:
    stack.enter_context(_memory_explained(job))
    stack.enter_context(records.alone(job.path))
    # Until the last checkpoint is committed.
    stop = stack.enter_context(stopping.Stopping(job.path.name))
    saved = stack.enter_context(open_checkpoints(job))
    return _train(job, saved, stop, stack)


def _train(
    job: Job,
    saved: checkpoints.Checkpoints,
    stop: stopping.Stopping,
    stack: contextlib.ExitStack,
) -> record_digests.Digests:
  """`train`, with its checkpoints; what it opens is closed by the stack."""
  train_config, machine = job.config.train, job.config.machine
  program = job.program

  # The state: a checkpoint's, or new.
  latest = hosts.broadcast("newest checkpoint", saved.latest())
  first = latest or 0
  state, kept = _start(job, saved, latest)
  frozen = load_frozen(job)
  _say_begin(job, first, state, frozen)
  counted = flops.of(job.start.arch, program.shapes.params, frozen)
  peak = flops.peak(program.mesh.devices)
  job.say(f"layouts  {job.layouts.told()}")
  job.say(f"mfu      {peak.told(counted)}")

  # Records, cut back to the checkpoint.
  record, sinks = _records(job, latest, kept, stack)

  # What feeds the device program.
  feed = job.feed(first)

  line = stack.enter_context(
      progress.Progress(first, job.steps, hosts.console())
  )
  clock = meter.Meter(counted, peak)
  log = watch.Logger(
      path=job.path,
      say=job.say,
      record=record,
      sinks=sinks,
      line=line,
      clock=clock,
      advise=prepare_advice(job, state.params, frozen, latest),
  )
  trace = tracing.Trace(job.path, job.config.profile, job.say)
  stack.callback(trace.close)
  pending = None
  stop.listen()
  for step in range(first, job.steps + 1):
    resumed_here = step == first and latest is not None
    trace.end(step, state)

    # Evaluate; a checkpoint is saved after its step's evaluation.
    for evaluator in job.evaluators:
      if _due(step, evaluator.every_steps, job.steps) and not resumed_here:
        pending = log.step(pending)
        params = lora_lib.join(state.params, frozen)
        log.evaluation(evaluator, step, params)

    # Save; whatever the checkpoint counts is durable before it.
    stopped = step < job.steps and stop.reached(step)
    due = step and _due(step, machine.save_every, job.steps)
    if (due or stopped) and not resumed_here:
      pending = log.step(pending)
      saved.save(step, state, record.sync())
      log.saved(step)

    if stopped:
      raise errors.Stopped(stopping.told(step, job.steps))
    if step == job.steps:
      break

    # Train, and log the step before while this one runs.
    with log.feeding(pending):
      batch = batches.lay_out(feed(step), job.layouts)
      fed = program.fed(batch)
    hyper = optimizer.hyper_at(train_config, step, job.steps)
    if log.is_new(batch):
      pending = log.step(pending)
      with log.compiling(batch):
        program.step.lower(state, frozen, fed, hyper).compile()
    trace.begin(step, state)
    state, metrics = program.step(state, frozen, fed, hyper)
    log.step(pending)
    pending = watch.Pending(
        step, hyper, metrics, batch.lengths, batch.tokens.size
    )
  log.tell_shares()
  return record.sync()


def _say_begin(
    job: Job, first: int, state: step_lib.State, frozen: Any
) -> None:
  if job.start.lora.rank:
    told = lora_lib.describe(job.start.lora, state.params, frozen)
    job.say(f"lora     {told}")
  job.say(f"train    from step {first} of {job.steps}: {job.path}")


def _records(
    job: Job,
    latest: int | None,
    kept: record_digests.Digests,
    stack: contextlib.ExitStack,
) -> tuple[records.Records | records.Silent, list[writers.Writer]]:
  """The run's files, cut back to a checkpoint; of the first process only."""
  first = latest or 0
  record = records.of_first(
      path=job.path,
      batch_size=job.config.train.batch_size,
      steps=job.steps,
      evaluated={
          each.name: (due_steps(each.every_steps, job.steps), each.ids)
          for each in job.evaluators
      },
      kept=kept,
      first=first,
      resumed=latest is not None,
  )
  stack.callback(record.close)
  if not hosts.is_first():
    return record, []
  sinks = writers.make(job.config.machine, job.path, first)
  for sink in sinks:
    stack.callback(sink.close)
  return record, sinks


def prepare_advice(
    job: Job, params: Any, frozen: Any, latest: int | None
) -> Callable[[int], str]:
  """Looks at a run's first parameters.

  Args:
    job: of the run.
    params: those that are trained, at the start of this process.
    frozen: those that are not.
    latest: the checkpoint that they are of; None for a new run.

  Returns:
    A function that says what to do about a loss that is not finite, given how
    many updates were done before it.
  """
  beginning = finite.Beginning(job.start.said)
  if latest is None:
    beginning = finite.look_at(lora_lib.join(params, frozen), job.start.said)
  return functools.partial(finite.advise, beginning, job.config)


def restore_final(job: Job) -> step_lib.State:
  """The state after the last step of a run that has ended."""
  with open_checkpoints(job) as saved:
    return resuming.last(saved, job.steps, _like(job.program), job.path)


def load_frozen(job: Job) -> Any:
  """The parameters that are not trained; {} without adapters."""
  return job.start.load_frozen(job.program.frozen_shardings)


def due_steps(every: int, steps: int) -> list[int]:
  """Steps at which something is due: 0, every, 2·every, … and the last."""
  return [step for step in range(steps + 1) if _due(step, every, steps)]


def _due(step: int, every: int, steps: int) -> bool:
  return step % every == 0 or step == steps


def open_checkpoints(job: Job) -> checkpoints.Checkpoints:
  """The checkpoints of a run, to be read and written."""
  path = job.path / checkpoints.NAME
  return checkpoints.Checkpoints(path, job.config.machine.keep, job.identity)


def _memory_explained(job: Job) -> contextlib.AbstractContextManager[None]:
  """Says what to do where memory is short."""
  rows = max(job.layouts.rows)
  held = job.program.held
  return memory.explained(job.config, job.program.mesh, rows, held)


def _start(
    job: Job,
    saved: checkpoints.Checkpoints,
    latest: int | None,
) -> tuple[step_lib.State, record_digests.Digests]:
  """The state to go on from, and the digests of the records at it."""
  if latest is None:
    job.say(f"start    {job.start.said}")
    params = job.start.load(job.program.shardings.params)
    return job.program.init(params), {}
  job.say(f"start    the checkpoint of step {latest}: this run stopped there")
  like = _like(job.program)
  problem = functools.partial(problem_of_records, job)
  state, kept = resuming.newest(saved, like, problem, job.path)
  if not saved.has_checksums(latest):
    job.say(f"start    {checkpoints.UNCHECKED}")
  kept = record_digests.from_json(kept)
  for line in record_digests.lost_clocks(job.path, kept):
    job.say(f"start    {line}")
  return state, kept


def problem_of_records(job: Job, kept: Any) -> str:
  """What is wrong with records that a checkpoint counts on; "" if nothing.

  Args:
    job: of the run.
    kept: their digests, as they were saved.
  """
  if not hosts.is_first():
    return ""  # Process 0 alone reads and writes them.
  digests = record_digests.without_rewritten(record_digests.from_json(kept))
  return next(record_digests.problems(job.path, digests), "")


def _like(program: program_lib.Program) -> step_lib.State:
  return checkpoints.like(program.shapes, program.shardings)
