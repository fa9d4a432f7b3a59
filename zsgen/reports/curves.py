"""Reads what a run wrote down."""

from collections.abc import Mapping, Sequence
import dataclasses
import functools
import json
import pathlib
from typing import Any, NamedTuple

import numpy as np

from zsgen import evals
from zsgen.core import artifacts, errors, saved_config
from zsgen.core import config as config_lib
from zsgen.data import store as store_lib
from zsgen.evals import api
from zsgen.orders import order as order_lib
from zsgen.orders import segments
from zsgen.train import lineage, record_digests


class Curve(NamedTuple):
  """A metric against steps."""

  steps: np.ndarray  # int64 [n], ascending
  values: np.ndarray  # float64 [n]


class Evaluation(NamedTuple):
  """The loss of every row at every evaluation that was done."""

  steps: np.ndarray  # int64 [n], ascending
  ids: np.ndarray  # int64 [E]
  losses: np.ndarray  # float [n, E]


@dataclasses.dataclass(frozen=True)
class RunRecords:
  """What a run wrote down.

  Attributes:
    path: its directory.
    config: what was run.
    steps: steps of the whole run.
    batch_size: examples of a step.
    store: directory of the store.
    order: directory of the order.
    may_grow: whether the run may be training, so that records may be missing
      and the last line of a file may be incomplete.
    fork: what it was forked from; None if it began with step 0. Its records
      have the steps of the parent before that.
  """

  path: pathlib.Path
  config: config_lib.Config
  steps: int
  batch_size: int
  store: pathlib.Path
  order: pathlib.Path
  may_grow: bool = False
  fork: lineage.Fork | None = None

  @property
  def first_of_order(self) -> int:
    """The step that consumes the beginning of the order."""
    return self.fork.begin if self.fork else 0

  def load_order(self, store: store_lib.Store | None = None) -> order_lib.Order:
    """Loads the order, with its segments if it was arranged anew.

    Args:
      store: the run's store, to check the order with it; None for no check.

    Raises:
      InputError: the order or a segment is damaged.
    """
    order = order_lib.Order.load(self.order, store)
    manifest = artifacts.read_manifest(self.path, "run")
    read = lineage.find_segments(self.path, manifest, order)
    return segments.join(order, read, self.first_of_order, self.batch_size)

  @functools.cached_property
  def parent_metrics(self) -> Mapping[str, Curve]:
    """Curves of the parent of a fork; {} if they cannot be read."""
    if self.fork is None:
      return {}
    try:
      return read_log(self.fork.run / "metrics.jsonl", may_grow=True)
    except errors.InputError:
      return {}  # The run itself has all that it needs.

  @functools.cached_property
  def metrics(self) -> Mapping[str, Curve]:
    """Curves of metrics.jsonl by path, such as "heldout/loss"."""
    return read_log(self.path / "metrics.jsonl", self.may_grow)

  @property
  def perf(self) -> Mapping[str, Curve]:
    """Curves of perf.jsonl by path, such as "perf/step_seconds"."""
    return self._clocks[0]

  @property
  def lost_clocks(self) -> str:
    """A sentence about what perf.jsonl lost; "" if nothing."""
    return self._clocks[1]

  @functools.cached_property
  def _clocks(self) -> tuple[dict[str, Curve], str]:
    return read_clocks(self.path / record_digests.PERF)

  def tasks(self, name: str, metric: str = "") -> dict[str, Curve]:
    """Returns the curves of the tasks of the evaluation `name`, by task.

    Args:
      name: the evaluation.
      metric: one of its metrics; by default the headline.
    """
    metric = metric or self.declaration(name).headline.name
    begin, end = f"{name}/", f"/{metric}"
    return {
        metric.removeprefix(begin).removesuffix(end): curve
        for metric, curve in self.metrics.items()
        if metric.startswith(begin)
        and metric.endswith(end)
        and metric.count("/") > 1
    }

  def declaration(self, name: str) -> api.Declaration:
    """Returns what the evaluator of the evaluation `name` declares."""
    return evals.declaration(self.config.evaluations[name])

  def headline(self, name: str) -> str:
    """Returns the path of the headline metric of an evaluation."""
    return f"{name}/{self.declaration(name).headline.name}"

  def evaluation(self, name: str) -> Evaluation:
    """Reads the losses of every example of the evaluation `name`."""
    path = self.path / "evals" / name
    if self.may_grow and not path.is_dir():
      return Evaluation(
          np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 0))
      )
    return read_evaluation(path)

  def values(self, name: str) -> api.Values:
    """Returns the values of each example, of which metrics are the means.

    They are at the steps of `evaluation`. Of written answers, only the headline
    has values here.

    Args:
      name: the evaluation.

    Raises:
      InputError: a file is damaged.
    """
    _, ids, losses = self.evaluation(name)
    spec = self.config.evaluations[name]
    return evals.example_values(spec, ids, losses, self.open_store)

  def headline_values(self, name: str) -> Evaluation:
    """Returns the headline of every example at every evaluation."""
    examples, by_metric = self.values(name)
    values = by_metric[self.declaration(name).headline.name]
    return Evaluation(self.evaluation(name).steps, examples, values)

  def open_store(self) -> store_lib.Store:
    """Opens the store.

    Raises:
      InputError: it is missing or damaged.
    """
    return store_lib.open_store(self.store)

  def probe(self) -> Evaluation:
    """Reads the losses of the examples of `config.probe` before each step.

    Raises:
      InputError: the run has no probe, or a file is damaged.
    """
    if not self.config.probe.examples:
      raise errors.InputError(
          f"{self.path}: has no probe. Train a run with"
          " config.probe.examples=32, or as many as you want to follow."
      )
    return self.evaluation(config_lib.PROBE)

  def consumed(self) -> np.ndarray:
    """Reads the ids of all steps, int64 [steps, B]; -1 where there is none.

    Raises:
      InputError: the file is missing or damaged.
    """
    file = self.path / "consumed.npy"
    if self.may_grow and not file.exists():
      return np.zeros((0, self.batch_size), np.int64)
    return artifacts.load_array(file, "r")

  def predictions(self, name: str, step: int) -> dict[int, str]:
    """Reads the answers that an evaluation wrote at a step.

    Args:
      name: the evaluation.
      step: a step at which it was done.

    Returns:
      Answers by the ids of the examples; {} if it writes none.

    Raises:
      InputError: the file is damaged.
    """
    return read_predictions(self.prediction_file(name, step))

  def scores(self, name: str, step: int) -> dict[str, np.ndarray]:
    """Reads the scores of the answers that an evaluation wrote at a step.

    Args:
      name: the evaluation.
      step: a step at which it was done.

    Returns:
      Scores of each example, float64 [E], by metric; {} if it writes none.

    Raises:
      InputError: the file is damaged.
    """
    file = self.prediction_file(name, step)
    names = [metric.name for metric in self.declaration(name).metrics]
    return read_scores(file, names) if file.exists() else {}

  def prediction_file(self, name: str, step: int) -> pathlib.Path:
    """Returns the path of the answers that an evaluation wrote at a step."""
    return self.path / "evals" / name / f"predictions-{step}.jsonl"


def open_run(path: pathlib.Path, may_grow: bool = False) -> RunRecords:
  """Opens a run's directory.

  Args:
    path: the directory.
    may_grow: whether a run that is not finished is expected, see `RunRecords`.

  Raises:
    InputError: it is not a run; or it has ended, and its records are not what
      it wrote.
  """
  manifest = artifacts.read_manifest(path, "run")
  record_digests.check_finished(path)
  config = read_config(path)
  check_versions(path, manifest, config)
  return RunRecords(
      path=path,
      config=config,
      steps=manifest["steps"],
      batch_size=manifest["batch_size"],
      store=(path / manifest["store"]).resolve(),
      order=(path / manifest["order"]).resolve(),
      may_grow=may_grow and not (path / record_digests.RESULT).exists(),
      fork=lineage.find_fork(path, manifest),
  )


def check_versions(
    path: pathlib.Path, manifest: Mapping[str, Any], config: config_lib.Config
) -> None:
  """Raises InputError if an older version of an evaluator wrote the results."""
  for name, recipe in manifest["made_by"].get("evals", {}).items():
    expected = evals.declaration(config.evals[name]).version
    if recipe.get("version", 0) != expected:
      raise errors.InputError(
          f"{path}: values of the evaluation {name!r} have another unit or"
          " meaning in this version of zsgen (docs/evaluations.md, units). Read"
          " the run with the version that wrote it, or train it again."
      )


def read_config(path: pathlib.Path) -> config_lib.Config:
  """Reads the config of a run; its records are not checked.

  Raises:
    InputError: the path is not a run, or its config is damaged.
  """
  config = artifacts.read_sealed(
      path / "config.json",
      record_digests.identity(path),
      "Start the command that trains the run: it writes the file again.",
  )
  return saved_config.read(config, f"{path}/config.json")


def read_log(path: pathlib.Path, may_grow: bool = False) -> dict[str, Curve]:
  """Reads the curves of a file of JSON lines, by metric.

  Args:
    path: the file.
    may_grow: whether a process may be writing it. Then it may be missing, and
      a last line without an end is ignored.

  Raises:
    InputError: it is missing or damaged; the message names the line.
  """
  if may_grow and not path.exists():
    return {}
  curves, wrong = _read_lines(path, may_grow)
  if wrong:
    raise _unreadable(path, wrong[0])
  return curves


def read_clocks(path: pathlib.Path) -> tuple[dict[str, Curve], str]:
  """Reads the curves of perf.jsonl, skipping damaged lines.

  No result depends on them.

  Returns:
    Curves by metric, and a sentence about what is lost; "" if nothing is.
  """
  try:
    curves, wrong = _read_lines(path)
  except errors.InputError as error:
    return {}, f"The times of this run are lost: {error}"
  if not curves:
    return {}, f"The times of this run are lost: {path} has none."
  if not wrong:
    return curves, ""
  lost = f"{len(wrong)} of its lines cannot be read, the first: {wrong[0]}"
  return curves, f"Times of this run are lost: {path} is damaged ({lost})."


def read_predictions(path: pathlib.Path) -> dict[int, str]:
  """Reads a file of answers that an evaluation wrote; {} if there is none.

  Returns:
    Answers by the ids of the examples.

  Raises:
    InputError: the file is damaged.
  """
  if not path.exists():
    return {}
  try:
    records = map(json.loads, path.read_text("utf-8").splitlines())
    return {int(record["id"]): str(record["prediction"]) for record in records}
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise _unreadable(path, str(error)) from error


def read_scores(
    path: pathlib.Path, names: Sequence[str]
) -> dict[str, np.ndarray]:
  """Reads the scores in a file of answers that an evaluation wrote.

  Args:
    path: the file.
    names: the metrics that each answer has.

  Returns:
    Scores of each example, float64 [E], by metric.

  Raises:
    InputError: the file is damaged.
  """
  try:
    records = list(map(json.loads, path.read_text("utf-8").splitlines()))
    return {
        name: np.array([float(record[name]) for record in records])
        for name in names
    }
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise _unreadable(path, str(error)) from error


def _read_lines(
    path: pathlib.Path, may_grow: bool = False
) -> tuple[dict[str, Curve], list[str]]:
  """Returns the curves of all valid lines, and the problems of the others.

  Args:
    path: the file.
    may_grow: whether to leave out a last line that has no end.

  Raises:
    InputError: the file is not there.
  """
  points: dict[str, list[tuple[int, float]]] = {}
  wrong = []
  try:
    content = path.read_bytes()
    end = content.rfind(b"\n") + 1 if may_grow else len(content)
    lines = content[:end].splitlines()
  except OSError as error:
    raise _unreadable(path, str(error)) from error
  for number, line in enumerate(lines, 1):
    try:
      step, values = _record(line)
    except (ValueError, RecursionError) as error:
      wrong.append(f"line {number}: {error}")
      continue
    for metric, value in values.items():
      points.setdefault(metric, []).append((step, value))
  return {metric: _curve(pairs) for metric, pairs in points.items()}, wrong


def _record(line: bytes) -> tuple[int, dict[str, float]]:
  """The step and the metrics of a line.

  Raises:
    ValueError: it is not a record. Bytes that are no UTF-8 are such an error.
  """
  record = json.loads(line.decode())
  if not isinstance(record, dict) or type(record.get("step")) is not int:
    raise ValueError("is not an object with a step")
  step = record.pop("step")
  if not all(type(value) in (int, float) for value in record.values()):
    raise ValueError("has a metric that is not a number")
  return step, record


def read_evaluation(path: pathlib.Path) -> Evaluation:
  """Reads `evals/<name>`; rows of evaluations not done yet are left out.

  Raises:
    InputError: a file is missing or damaged.
  """
  try:
    losses, steps, ids = (
        np.load(path / f"{name}.npy", allow_pickle=False)
        for name in ("loss", "steps", "ids")
    )
  except Exception as error:  # A damaged header raises a dozen kinds.
    raise _unreadable(path, str(error)) from error
  if losses.shape != (len(steps), len(ids)):
    raise _unreadable(path, f"loss.npy has shape {losses.shape}")
  # Rows are made empty (NaN) and filled in whole.
  is_done = ~np.isnan(losses).all(axis=1)
  return Evaluation(steps[is_done], ids, losses[is_done])


def _curve(points: list[tuple[int, float]]) -> Curve:
  steps, values = zip(*points, strict=True)
  return Curve(np.array(steps, np.int64), np.array(values, np.float64))


def _unreadable(path: pathlib.Path, reason: str) -> errors.InputError:
  """Returns the error for a run whose files cannot be read."""
  return errors.InputError(
      f"{path}: cannot be read ({reason}). The run was stopped or is damaged:"
      " start it again, or delete its directory."
  )
