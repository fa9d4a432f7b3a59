"""What a run tells while it goes on, and what it is stopped for."""

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import functools
import math
import pathlib
from typing import Any, NamedTuple

import jax
import numpy as np

from zsgen.core import artifacts, errors
from zsgen.data import store as store_lib
from zsgen.train import (
    batches,
    memory,
    meter,
    optimizer,
    progress,
    records,
    writers,
)
from zsgen.train import step as step_lib
from zsgen.train.metrics import Evaluation, Evaluator

# Share of the time above which an evaluation is warned of.
_MUCH = 0.3


def check_finite(
    evaluator: Evaluator,
    found: Evaluation,
    when: str,
    advise: Callable[[], str],
) -> None:
  """Raises InputError for a loss that is not finite.

  Args:
    evaluator: the evaluator.
    found: its result.
    when: the time of the evaluation, such as "at step 4".
    advise: returns what to do.
  """
  bad = ~np.isfinite(found.losses)
  if bad.any():
    raise errors.InputError(
        f"{evaluator.name} {when}: the loss of {bad.sum()} of {len(bad)}"
        " examples is not finite, the first is example"
        f" {evaluator.ids[bad.argmax()]}. {advise()}"
    )


class Pending(NamedTuple):
  """A step that runs on the device and is not logged yet.

  Attributes:
    step: its number.
    hyper: its hyper-parameters.
    metrics: what it reports, on the device.
    lengths: tokens of each of its examples, int32 [B].
    slots: tokens of its rows, padding counted.
  """

  step: int
  hyper: optimizer.Hyper
  metrics: step_lib.Metrics
  lengths: np.ndarray
  slots: int


class Logger:
  """Writes steps and evaluations to records, writers and the line.

  Args:
    path: the run's directory.
    say: says a line to people.
    record: what is kept.
    sinks: where metrics go beside it.
    line: the progress line.
    clock: where the time goes.
    advise: returns what to do about a loss at a step that is not finite.
  """

  def __init__(
      self,
      path: pathlib.Path,
      say: Callable[[str], None],
      record: records.Records,
      sinks: Sequence[writers.Writer],
      line: progress.Progress,
      clock: meter.Meter,
      advise: Callable[[int], str],
  ):
    self._path = path
    self._say = say
    self._record = record
    self._sinks = sinks
    self._line = line
    self._clock = clock
    self._advise = advise
    # Names of the evaluations that ran; shapes that are compiled.
    self._evaluated: list[str] = []
    self._shapes: set[tuple[int, ...]] = set()
    # What the next step's record has beside its own.
    self._beside: dict[str, float] = {}

  def feeding(
      self, pending: Pending | None
  ) -> contextlib.AbstractContextManager[None]:
    """Times what makes the next batch while a step runs, or none does."""
    return self._clock.feeding(pending and pending.metrics.loss)

  def is_new(self, batch: batches.Batch) -> bool:
    """Whether no batch of this shape was compiled for."""
    return batch.tokens.shape not in self._shapes

  @contextlib.contextmanager
  def compiling(self, batch: batches.Batch) -> Iterator[None]:
    """Times what compiles for a batch, apart from all steps."""
    yield
    self._shapes.add(batch.tokens.shape)
    self._beside["perf/compile_seconds"] = self._clock.lap(meter.COMPILING)

  def saved(self, step: int) -> None:
    """Logs the time that a save took from the loop."""
    seconds = self._clock.lap(meter.SAVING)
    self._record.perf({"step": step, "perf/save_seconds": seconds})

  def step(self, pending: Pending | None) -> None:
    """Waits for a step's metrics and logs them; None is nothing to log.

    Raises:
      InputError: they are not finite; names a file of the step's examples.
    """
    if pending is None:
      return
    metrics: step_lib.Metrics = jax.device_get(pending.metrics)
    perf = self.trained(pending)
    self.record_step(pending.step, pending.hyper, metrics, perf)

  def trained(self, pending: Pending) -> dict[str, float]:
    """Ends the lap of a step whose metrics are there; returns how it went."""
    lengths = np.asarray(pending.lengths).ravel()
    perf = self._clock.step(lengths, pending.slots)
    beside, self._beside = self._beside, {}
    return {**perf, **memory.used(), **beside}

  def record_step(
      self,
      step: int,
      hyper: optimizer.Hyper,
      metrics: step_lib.Metrics,
      perf: Mapping[str, float],
  ) -> None:
    """Logs what a step reported, and how it went; see `step`."""
    values = {
        "train/loss": float(metrics.loss),
        "train/grad_norm": float(metrics.grad_norm),
        "train/learning_rate": float(hyper.learning_rate),
        "train/tokens": int(metrics.tokens),
        "train/loss_tokens": int(metrics.loss_tokens),
    }
    self._check_step(step, values, metrics.ids)
    self._record.consumed(step, metrics.ids)
    self._record.metrics({"step": step, **values})
    self._record.perf({"step": step, **perf})
    self._write(step, {**values, **perf})
    loss = f"{values['train/loss']:.3f}"
    self._line.show(step + 1, {"loss": loss, **progress.pace(perf)})

  def evaluation(self, evaluator: Evaluator, step: int, params: Any) -> None:
    """Evaluates, and logs what was found."""
    found = evaluator(params)
    self.record_evaluation(evaluator, step, found, self.evaluated(evaluator))

  def evaluated(self, evaluator: Evaluator) -> dict[str, float]:
    """Ends the lap of an evaluation; returns how it went."""
    name = evaluator.name
    if name not in self._evaluated:
      self._evaluated.append(name)
    seconds = self._clock.lap(_lap(name))
    share = self._clock.share(_lap(name))
    return {f"perf/{name}_seconds": seconds, f"perf/{name}_share": share}

  def record_evaluation(
      self,
      evaluator: Evaluator,
      step: int,
      found: Evaluation,
      perf: Mapping[str, float],
  ) -> None:
    """Logs what an evaluation found, and how it went.

    Raises:
      InputError: a loss is not finite.
    """
    advise = functools.partial(self._advise, step)
    check_finite(evaluator, found, f"at step {step}", advise)
    name = evaluator.name
    self._record.evaluated(name, step, found.losses)
    self._record.predictions(name, step, found.predictions)
    self._record.metrics({"step": step, **found.metrics})
    self._record.perf({"step": step, **perf})
    self._write(step, {**found.metrics, **perf})
    headline, share = evaluator.headline, perf[f"perf/{name}_share"]
    value = headline.show(found.metrics[f"{name}/{headline.name}"])
    self._line.show(step, {name: f"{value} ({share:.0%} of the time)"})

  def tell_shares(self) -> None:
    """Says what steps gave, and where the time went."""
    for line in self._clock.told():
      self._say(line)
    shares = {name: self._clock.share(_lap(name)) for name in self._evaluated}
    told = [f"{name} {share:.0%}" for name, share in shares.items()]
    if told:
      self._say(f"evals    {', '.join(told)} of the time")
    for name, share in shares.items():
      if share > _MUCH:
        self._say(
            f"evals    more than {_MUCH:.0%} went into {name}: raise"
            f" config.evals.{name}.every_steps, or set its max_examples"
        )

  def _check_step(
      self, step: int, values: Mapping[str, float], ids: np.ndarray
  ) -> None:
    """Raises InputError if metrics are not finite, and writes the examples."""
    wrong = [name for name in values if not math.isfinite(values[name])]
    if not wrong:
      return
    path = self._path / f"nan-{step}.json"
    if jax.process_index() == 0:  # All processes raise.
      _write_examples(path, step, values, ids[ids != batches.NO_EXAMPLE])
    raise errors.InputError(
        f"{wrong[0]} of step {step} is {values[wrong[0]]}. The examples of the"
        f" step are in {path}. {self._advise(step)}"
    )

  def _write(self, step: int, values: dict[str, float]) -> None:
    for sink in self._sinks:
      sink.write(step, values)


def _lap(evaluation: str) -> str:
  """What laps of an evaluation are put down to; it may be called "steps"."""
  return f"evals/{evaluation}"


def _write_examples(
    path: pathlib.Path,
    step: int,
    values: Mapping[str, float],
    ids: np.ndarray,
) -> None:
  """Writes down metrics of a step and what it consumed."""
  # JSON has no numbers that are not finite.
  told = {
      name: value if math.isfinite(value) else str(value)
      for name, value in values.items()
  }
  of_store = _of_store(path.parent, ids)
  record = {"step": step, "metrics": told, "ids": ids.tolist(), **of_store}
  artifacts.write_json(path, record)


def _of_store(run: pathlib.Path, ids: np.ndarray) -> dict[str, list[str]]:
  """Tasks and publisher's keys of examples, of the store that a run reads."""
  manifest = artifacts.read_manifest(run, "run")
  store = store_lib.open_store((run / manifest["store"]).resolve())
  tasks = [store.tasks[task] for task in store.task_index[ids]]
  return {"tasks": tasks, "keys": store.keys(ids)}
