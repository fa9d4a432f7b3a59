"""The training loop, from top to bottom in the order things must happen."""

from collections.abc import Callable, Mapping, Sequence
import contextlib
import math
import pathlib
import time
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from zsgen import config as config_lib
from zsgen import errors
from zsgen.models import lora as lora_lib
from zsgen.training import (
    batches,
    checkpoints,
    optimizer,
    progress,
    records,
    writers,
)
from zsgen.training import program as program_lib
from zsgen.training import start as start_lib
from zsgen.training import step as step_lib

# Share of the time above which an evaluation is warned of.
_MUCH = 0.3


class Evaluation(NamedTuple):
  """What an evaluator found."""

  # Scalars by path, such as "heldout/loss".
  metrics: dict[str, float]
  # The one of them that stands for the others.
  headline: str
  # Of each row, float32 [E], in the order of `Evaluator.ids`: its loss, or the
  # score of its answer.
  losses: np.ndarray
  # Records of the answers that were written.
  predictions: Sequence[Mapping[str, Any]] = ()


class Evaluator(Protocol):
  """Something that the loop calls every few steps."""

  name: str
  every_steps: int
  # Rows of the store that it reads, int64 [E].
  ids: np.ndarray
  # Ids of the examples that it judges by them, of how many of the held-out
  # set.
  examples: np.ndarray
  of: int

  def __call__(self, params: Any) -> Evaluation:
    """Evaluates parameters."""


class Job(NamedTuple):
  """All that a run is made of."""

  path: pathlib.Path
  config: config_lib.Config
  program: program_lib.Program
  feed: Callable[[int], batches.Feed]  # from the step to go on from
  layouts: batches.Layouts
  steps: int
  evaluators: Sequence[Evaluator]
  # Parameters before the first step.
  start: start_lib.Start
  # Says a line to people.
  say: Callable[[str], None]


def train(job: Job) -> step_lib.State:
  """Trains from the newest checkpoint, or from the start, to the end.

  Writes metrics, evaluations, consumed ids and checkpoints to `job.path`.
  Killed at any moment and called again, it leaves the same bytes.

  Args:
    job: what to train, on what, under which order.

  Returns:
    The state after the last step.

  Raises:
    InputError: a damaged checkpoint, or a loss that is not finite.
  """
  with contextlib.ExitStack() as stack:
    saved = stack.enter_context(_checkpoints(job))
    return _train(job, saved, stack)


def _train(
    job: Job, saved: checkpoints.Checkpoints, stack: contextlib.ExitStack
) -> step_lib.State:
  """`train`, with its checkpoints; what it opens is closed by the stack."""
  train_config, machine = job.config.train, job.config.machine
  program = job.program

  # The state: a checkpoint's, or new.
  latest = saved.latest()
  first = latest or 0
  state, lengths = _start(job, saved, latest)
  frozen = load_frozen(job)
  if job.start.lora.rank:
    told = lora_lib.told(job.start.lora, state.params, frozen)
    job.say(f"lora     {told}")
  job.say(f"train    from step {first} of {job.steps}: {job.path}")

  # Records, cut back to the checkpoint.
  record = records.Records(
      path=job.path,
      batch_size=train_config.batch_size,
      steps=job.steps,
      evaluated={
          each.name: (due_steps(each.every_steps, job.steps), each.ids)
          for each in job.evaluators
      },
      lengths=lengths,
      first=first,
      resumed=latest is not None,
  )
  stack.callback(record.close)
  sinks = writers.make(machine, job.path, first)
  for sink in sinks:
    stack.callback(sink.close)

  # What feeds the device program.
  feed = job.feed(first)

  line = stack.enter_context(progress.Progress(first, job.steps))
  log = _Logger(job, record, sinks, line)
  pending = None
  for step in range(first, job.steps + 1):
    resumed_here = step == first and latest is not None

    # Evaluate; a checkpoint is saved after its step's evaluation.
    for evaluator in job.evaluators:
      if _due(step, evaluator.every_steps, job.steps) and not resumed_here:
        pending = log.step(pending)
        params = lora_lib.join(state.params, frozen)
        log.evaluation(evaluator, step, params)

    # Save; whatever the checkpoint counts is durable before it.
    if step and _due(step, machine.save_every, job.steps) and not resumed_here:
      pending = log.step(pending)
      saved.save(step, state, {"step": step, "lengths": record.sync()})

    if step == job.steps:
      break

    # Train, and log the step before while this one runs.
    batch = batches.lay_out(feed(step), job.layouts)
    hyper = optimizer.hyper_at(train_config, step, job.steps)
    state, metrics = program.step(state, frozen, batch, hyper)
    log.step(pending)
    pending = _Pending(step, hyper, metrics)
  log.tell_shares()
  return state


def restore_final(job: Job) -> step_lib.State:
  """The state after the last step of a run that has ended."""
  with _checkpoints(job) as saved:
    return saved.state(job.steps, _like(job.program))


def load_frozen(job: Job) -> Any:
  """The parameters that are not trained; {} without adapters."""
  return job.start.load_frozen(job.program.frozen_shardings)


def due_steps(every: int, steps: int) -> list[int]:
  """Steps at which something is due: 0, every, 2·every, … and the last."""
  return [step for step in range(steps + 1) if _due(step, every, steps)]


def _due(step: int, every: int, steps: int) -> bool:
  return step % every == 0 or step == steps


def _checkpoints(job: Job) -> checkpoints.Checkpoints:
  path = job.path / checkpoints.NAME
  return checkpoints.Checkpoints(path, job.config.machine.keep)


def _start(
    job: Job,
    saved: checkpoints.Checkpoints,
    latest: int | None,
) -> tuple[step_lib.State, dict[str, int]]:
  """The state to go on from, and the lengths of the logs at it."""
  if latest is None:
    job.say(f"start    {job.start.said}")
    params = job.start.load(job.program.shardings.params)
    return job.program.init(params), {}
  job.say(f"start    the checkpoint of step {latest}: this run stopped there")
  state = saved.state(latest, _like(job.program))
  return state, saved.meta(latest)["lengths"]


def _like(program: program_lib.Program) -> step_lib.State:
  return checkpoints.like(program.shapes, program.shardings)


def check_finite(
    evaluator: Evaluator, found: Evaluation, when: str, advice: str
) -> None:
  """Raises InputError for a loss that is not finite: when, and what to do."""
  bad = ~np.isfinite(found.losses)
  if bad.any():
    raise errors.InputError(
        f"{evaluator.name} {when}: the loss of {bad.sum()} of {len(bad)}"
        " examples is not finite, the first is example"
        f" {evaluator.ids[bad.argmax()]}. {advice}"
    )


class _Pending(NamedTuple):
  """A step that runs on the device and is not logged yet."""

  step: int
  hyper: optimizer.Hyper
  metrics: step_lib.Metrics


class _Logger:
  """Writes steps and evaluations to records, writers and the line."""

  def __init__(
      self,
      job: Job,
      record: records.Records,
      sinks: Sequence[writers.Writer],
      line: progress.Progress,
  ):
    self._job = job
    self._record = record
    self._sinks = sinks
    self._line = line
    self._clock = self._begin = time.perf_counter()
    # Seconds that each evaluation took.
    self._spent: dict[str, float] = {}

  def step(self, pending: _Pending | None) -> None:
    """Waits for a step's metrics and logs them; None is nothing to log."""
    if pending is None:
      return
    step = pending.step
    metrics: step_lib.Metrics = jax.device_get(pending.metrics)
    values = {
        "train/loss": float(metrics.loss),
        "train/grad_norm": float(metrics.grad_norm),
        "train/learning_rate": float(pending.hyper.learning_rate),
        "train/tokens": int(metrics.tokens),
        "train/loss_tokens": int(metrics.loss_tokens),
    }
    wrong = [name for name in values if not math.isfinite(values[name])]
    if wrong:
      raise errors.InputError(
          f"{wrong[0]} of step {step} is {values[wrong[0]]}; its examples are"
          f" {metrics.ids.tolist()}. Lower config.train.learning_rate, or look"
          " at these examples."
      )
    self._record.consumed(step, metrics.ids)
    self._record.metrics({"step": step, **values})
    seconds = self._lap()
    rate = values["train/tokens"] / seconds
    perf = {"perf/step_seconds": seconds, "perf/tokens_per_second": rate}
    self._record.perf({"step": step, **perf})
    self._write(step, {**values, **perf})
    loss = f"{values['train/loss']:.3f}"
    self._line.show(step + 1, {"loss": loss, "tokens/s": f"{rate:,.0f}"})

  def evaluation(self, evaluator: Evaluator, step: int, params: Any) -> None:
    """Evaluates, and logs what was found."""
    found = evaluator(params)
    check_finite(
        evaluator, found, f"at step {step}", "Lower config.train.learning_rate."
    )
    self._record.evaluated(evaluator.name, step, found.losses)
    self._record.predictions(evaluator.name, step, found.predictions)
    self._record.metrics({"step": step, **found.metrics})
    name, seconds = evaluator.name, self._lap()
    self._spent[name] = self._spent.get(name, 0.0) + seconds
    share = self._spent[name] / (self._clock - self._begin)
    perf = {f"perf/{name}_seconds": seconds, f"perf/{name}_share": share}
    self._record.perf({"step": step, **perf})
    self._write(step, {**found.metrics, **perf})
    value = found.metrics[found.headline]
    self._line.show(step, {name: f"{value:.3f} ({share:.0%} of the time)"})

  def tell_shares(self) -> None:
    """Says what share of the time each evaluation took."""
    total = time.perf_counter() - self._begin
    shares = {name: spent / total for name, spent in self._spent.items()}
    told = [f"{name} {share:.0%}" for name, share in shares.items()]
    if told:
      self._job.say(f"evals    {', '.join(told)} of the time")
    for name, share in shares.items():
      if share > _MUCH:
        self._job.say(
            f"evals    more than {_MUCH:.0%} went into {name}: raise"
            f" config.evals.{name}.every_steps, or set its max_examples"
        )

  def _lap(self) -> float:
    """Seconds since the last call."""
    before, self._clock = self._clock, time.perf_counter()
    return self._clock - before

  def _write(self, step: int, values: dict[str, float]) -> None:
    for sink in self._sinks:
      sink.write(step, values)
