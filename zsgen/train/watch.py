"""Logging and failure checks during training."""

from collections.abc import Callable, Mapping, Sequence
import functools
import math
import pathlib

import jax
import numpy as np

from zsgen.core import artifacts, errors
from zsgen.data import store as store_lib
from zsgen.train import batches, optimizer, progress, records, writers
from zsgen.train import step as step_lib
from zsgen.train.metrics import Evaluation, Evaluator


def check_finite(
    evaluator: Evaluator,
    evaluation: Evaluation,
    time: str,
    advise: Callable[[], str],
) -> None:
  """Raises InputError for a loss that is not finite.

  Args:
    evaluator: the evaluator.
    evaluation: its result.
    time: the time of the evaluation, such as "at step 4".
    advise: returns what to do.
  """
  bad = ~np.isfinite(evaluation.losses)
  if bad.any():
    raise errors.InputError(
        f"{evaluator.name} {time}: the loss of {bad.sum()} of {len(bad)}"
        " examples is not finite, the first is example"
        f" {evaluator.ids[bad.argmax()]}. {advise()}"
    )


class Logger:
  """Writes a run's steps and evaluations to records, writers and the line.

  Args:
    path: the run's directory.
    record: the run's files.
    sinks: where metrics go beside it.
    line: the progress line.
    advise: returns what to do about a loss at a step that is not finite.
  """

  def __init__(
      self,
      path: pathlib.Path,
      record: records.Records | records.Silent,
      sinks: Sequence[writers.Writer],
      line: progress.Progress,
      advise: Callable[[int], str],
  ):
    self.record = record
    self._path = path
    self._sinks = sinks
    self._line = line
    self._advise = advise

  def record_step(
      self,
      step: int,
      hyper: optimizer.Hyper,
      metrics: step_lib.Metrics[np.ndarray],
      perf: Mapping[str, float],
  ) -> None:
    """Logs what a step reported, and how it went.

    Raises:
      InputError: a metric is not finite; names a file of the step's examples.
    """
    values = {
        "train/loss": float(metrics.loss),
        "train/grad_norm": float(metrics.grad_norm),
        "train/learning_rate": float(hyper.learning_rate),
        "train/tokens": int(metrics.tokens),
        "train/loss_tokens": int(metrics.loss_tokens),
    }
    self._check_step(step, values, metrics.ids)
    self.record.consumed(step, metrics.ids)
    self.record.metrics({"step": step, **values})
    self.record.perf({"step": step, **perf})
    self._write(step, {**values, **perf})
    loss = f"{values['train/loss']:.3f}"
    self._line.show(step + 1, {"loss": loss, **progress.pace(perf)})

  def record_evaluation(
      self,
      evaluator: Evaluator,
      step: int,
      evaluation: Evaluation,
      perf: Mapping[str, float],
  ) -> None:
    """Logs what an evaluation found, and how it went.

    Raises:
      InputError: a loss is not finite.
    """
    advise = functools.partial(self._advise, step)
    check_finite(evaluator, evaluation, f"at step {step}", advise)
    name = evaluator.name
    self.record.evaluated(name, step, evaluation.losses)
    self.record.predictions(name, step, evaluation.predictions)
    self.record.metrics({"step": step, **evaluation.metrics})
    self.record.perf({"step": step, **perf})
    self._write(step, {**evaluation.metrics, **perf})
    headline, share = evaluator.headline, perf[f"perf/{name}_share"]
    value = headline.show(evaluation.metrics[f"{name}/{headline.name}"])
    self._line.show(step, {name: f"{value} ({share:.0%} of the time)"})

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


def _write_examples(
    path: pathlib.Path,
    step: int,
    values: Mapping[str, float],
    ids: np.ndarray,
) -> None:
  """Writes down metrics of a step and what it consumed."""
  # JSON has no numbers that are not finite.
  metrics = {
      name: value if math.isfinite(value) else str(value)
      for name, value in values.items()
  }
  of_store = _of_store(path.parent, ids)
  record = {"step": step, "metrics": metrics, "ids": ids.tolist(), **of_store}
  artifacts.write_json(path, record)


def _of_store(run: pathlib.Path, ids: np.ndarray) -> dict[str, list[str]]:
  """Tasks and publisher's keys of examples, of the store that a run reads."""
  manifest = artifacts.read_manifest(run, "run")
  store = store_lib.open_store((run / manifest["store"]).resolve())
  tasks = [store.tasks[task] for task in store.task_index[ids]]
  return {"tasks": tasks, "keys": store.keys(ids)}
