"""Logs the members of a job, and the time that they share."""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import math
import time
from typing import NamedTuple

import jax
import numpy as np

from zsgen.core import config as config_lib
from zsgen.train import (
    layouts,
    memory,
    meter,
    optimizer,
    population,
    record_digests,
    watch,
)
from zsgen.train import metrics as metrics_lib
from zsgen.train import step as step_lib

# Share of the time above which an evaluation gets a warning.
_MUCH = 0.3
# Seconds for which the record of a step has the memory in use of an earlier one.
_MEMORY_EVERY = 1.0


class Pending(NamedTuple):
  """A step that runs on the devices and is not logged yet.

  Attributes:
    step: its number.
    hyper: its hyper-parameters, stacked if there are several members.
    metrics: what it reports, on the devices, stacked likewise.
    lengths: tokens of each of its examples, int32 [B], stacked likewise.
    slots: tokens of its rows, padding counted.
    loss_tokens: tokens for which logits are needed.
  """

  step: int
  hyper: optimizer.Hyper
  metrics: step_lib.Metrics[jax.Array]
  lengths: np.ndarray
  slots: int
  loss_tokens: int


class Journal:
  """Logs steps and evaluations of all members.

  Args:
    loggers: of each member.
    clock: measures the time of all members together.
    log: prints a line for people.
    steps: steps of the whole run.
  """

  def __init__(
      self,
      loggers: Sequence[watch.Logger],
      clock: meter.Meter,
      log: Callable[[str], None],
      steps: int,
  ):
    self._steps = steps
    self._loggers = loggers
    self._clock = clock
    self._log = log
    # Names of the evaluations that ran; shapes that steps had.
    self._evaluated: list[str] = []
    self._shapes: set[layouts.Shape] = set()
    # Seconds of waiting for a program, for the record of the next step.
    self._compiled: dict[str, float] = {}
    self._memory: dict[str, int] = {}
    self._memory_time = -math.inf

  def feeding(
      self, pending: Pending | None
  ) -> contextlib.AbstractContextManager[None]:
    """Returns a context that times how the next batch is made."""
    return self._clock.feeding(pending and pending.metrics.loss)

  def is_new(self, shape: layouts.Shape) -> bool:
    """Returns whether there was no step of this shape."""
    return shape not in self._shapes

  @contextlib.contextmanager
  def compiling(self, shape: layouts.Shape) -> Iterator[None]:
    """Measures how long the loop waits for a program, apart from all steps."""
    yield
    self._shapes.add(shape)
    self._compiled["perf/compile_seconds"] = self._clock.lap(meter.COMPILING)

  def step(self, pending: Pending | None) -> None:
    """Waits for a step's metrics and logs them; None is nothing to log.

    Raises:
      InputError: see `watch.Logger.record_step`.
    """
    if pending is None:
      return
    count = len(self._loggers)
    metrics = step_lib.fetch(pending.metrics)
    lengths = np.asarray(pending.lengths).ravel()
    perf = self._clock.step(lengths, pending.slots, pending.loss_tokens)
    if time.monotonic() - self._memory_time > _MEMORY_EVERY:
      self._memory, self._memory_time = memory.used(), time.monotonic()
    perf = {**perf, **self._memory, **self._compiled}
    self._compiled = {}
    if count > 1:
      perf["perf/members"] = count
    for logger, hyper, reported in zip(
        self._loggers,
        population.unstack(pending.hyper, count),
        population.unstack(metrics, count),
        strict=True,
    ):
      logger.record_step(pending.step, hyper, reported, perf)

  def evaluation(
      self,
      evaluators: Sequence[metrics_lib.Evaluator],
      step: int,
      results: Sequence[metrics_lib.Evaluation],
  ) -> None:
    """Logs the results of an evaluation, of each member that it is due for.

    Args:
      evaluators: that of each member.
      step: the step before which the parameters are.
      results: of each member.

    Raises:
      InputError: a loss is not finite.
    """
    name = evaluators[0].name
    if name not in self._evaluated:
      self._evaluated.append(name)
    seconds = self._clock.lap(_lap(name))
    share = self._clock.share(_lap(name))
    perf = {f"perf/{name}_seconds": seconds, f"perf/{name}_share": share}
    for logger, evaluator, result in zip(
        self._loggers, evaluators, results, strict=True
    ):
      if evaluator.is_due(step, self._steps):
        logger.record_evaluation(evaluator, step, result, perf)

  @contextlib.contextmanager
  def remaking(self, step: int) -> Iterator[None]:
    """Measures how long an order is remade, and records the new segment."""
    yield
    seconds = self._clock.lap(meter.REMAKING)
    for logger in self._loggers:
      logger.record.segment(step)
      logger.record.perf({"step": step, "perf/remake_seconds": seconds})

  def saved(self, step: int) -> None:
    """Logs the time that a save took from the loop."""
    seconds = self._clock.lap(meter.SAVING)
    for logger in self._loggers:
      logger.record.perf({"step": step, "perf/save_seconds": seconds})

  def sync(self) -> list[record_digests.Digests]:
    """Makes all records durable; returns the digests of each member's."""
    return [logger.record.sync() for logger in self._loggers]

  def summarize(self) -> None:
    """Prints the throughput of the steps, and where the time went."""
    for line in self._clock.describe():
      self._log(line)
    shares = {name: self._clock.share(_lap(name)) for name in self._evaluated}
    if shares:
      parts = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
      self._log(f"evals    {parts} of the time")
    for name, share in shares.items():
      if share > _MUCH:
        self._log(
            f"evals    more than {_MUCH:.0%} went into {name}: {_advise(name)}"
        )


def _advise(evaluation: str) -> str:
  """Returns how an evaluation takes less time."""
  if evaluation == config_lib.PROBE:
    return "set config.probe.around=False, or lower config.probe.examples"
  section = f"config.evals.{evaluation.partition('@')[0]}"
  return f"raise {section}.every_steps, or set its max_examples"


def _lap(evaluation: str) -> str:
  """Returns the name of an evaluation's laps; it may be called "steps"."""
  return f"evals/{evaluation}"
