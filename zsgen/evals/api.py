"""What an evaluator is: what it declares, reads and returns.

An evaluator is one file. It registers a class that is built from a name, the
section of that name in `config.evals`, and a `Context`:

  @registry.evaluator("entropy")
  class Entropy(api.Evaluator):
    declaration = api.Declaration(api.Metric("entropy", "nats", "lower"))

    def __call__(self, params):
      values = ...  # float32 [E], a value for each row of `self.ids`
      return api.Evaluation(self.means("entropy", values), values)

Logs, results, reports and comparisons read the declaration.
"""

import abc
from collections.abc import Callable, Mapping
import dataclasses
from typing import Any, ClassVar, NamedTuple

import jax
import numpy as np

from zsgen.core import config, errors
from zsgen.data import store as store_lib
from zsgen.evals import subsets
from zsgen.models import model as model_lib
from zsgen.train import metrics
from zsgen.train.metrics import Evaluation

__all__ = [
    "CHOICES",
    "EXAMPLES",
    "FIGURES",
    "Baseline",
    "Context",
    "Declaration",
    "Evaluation",
    "Evaluator",
    "Metric",
    "OpenStore",
    "Values",
]

# Figures that a run's page can have of an evaluation: means against steps; the
# curve of each task; the distances of the order's prefixes, if they were
# measured (`config.order.trace_every`).
FIGURES = ("means", "tasks", "distances")
# What the rows of an evaluator are.
EXAMPLES, CHOICES = "examples", "choices"
OpenStore = Callable[[], store_lib.Store]


class Values(NamedTuple):
  """The values of each example, of which metrics are the means.

  Attributes:
    examples: ids of the examples, int64 [E].
    by_metric: their values at n evaluations, by the name of the metric, float64
      [n, E].
  """

  examples: np.ndarray
  by_metric: Mapping[str, np.ndarray]


class Baseline(NamedTuple):
  """What an accuracy is without a model.

  Attributes:
    chance: of a guess, drawn from the answers to choose from; None if any text
      may be the answer.
    majority: of the answer that is right most often in each task, given to all
      examples of the task.
  """

  chance: float | None
  majority: float


@dataclasses.dataclass(frozen=True)
class Metric(metrics.Metric):
  """A metric of an evaluator.

  Its path is NAME/METRIC, for the mean over examples.

  Attributes:
    by_task: whether there are NAME/task_mean_METRIC, the mean over tasks, and
      NAME/TASK/METRIC for each task. A headline must have them.
    by_part: whether there is NAME/PART_METRIC for parts of the examples that
      the evaluator names.
    has_figure: whether it is a line next to the headline, whose unit it must
      have, in the figure of a run for papers.
  """

  by_task: bool = True
  by_part: bool = False

  @property
  def names(self) -> tuple[str, ...]:
    """Names of its means: over examples and, if `by_task`, over tasks."""
    if not self.by_task:
      return (self.name,)
    return self.name, f"task_mean_{self.name}"


@dataclasses.dataclass(frozen=True)
class Declaration:
  """What an evaluator measures, and which figures it wants.

  Attributes:
    headline: the metric that represents the others.
    other_metrics: its other metrics, in the order in which tables show them.
    figures: those of `FIGURES` that a run's page has.
    rows: what its rows are: the held-out examples, or the answers to choose
      from that belong to them.
    counts_unanswered: whether an example without an answer token may count as
      0 (`unanswered="zero"`).
    in_training: whether a run can be evaluated while it trains; otherwise only
      by `--stage=evaluate`.
    version: raised when the same options give other values; part of the
      identity of runs and evaluations if it is not 0.

  Raises:
    InputError: two metrics have one name, or a metric, a figure or `rows` is
      not what it must be.
  """

  headline: Metric
  other_metrics: tuple[Metric, ...] = ()
  figures: tuple[str, ...] = ("means", "tasks")
  rows: str = EXAMPLES
  counts_unanswered: bool = False
  in_training: bool = True
  version: int = 0

  @property
  def metrics(self) -> tuple[Metric, ...]:
    """All metrics, the headline first."""
    return self.headline, *self.other_metrics

  def metric(self, name: str) -> Metric | None:
    """Returns a metric by the name of a mean, a task's or a part's value."""
    for metric in self.metrics:
      if name in metric.names:
        return metric
    for metric in self.metrics:
      if metric.by_part and name.endswith(f"_{metric.name}"):
        return metric
    return None

  def __post_init__(self) -> None:
    context = f"the evaluator of {self.headline.name!r}"
    names = [name for metric in self.metrics for name in metric.names]
    if len(set(names)) < len(names):
      raise errors.InputError(
          f"{context} declares two metrics of one name: {', '.join(names)}."
          " Name them apart."
      )
    if not (self.headline.by_task and self.headline.better):
      raise errors.InputError(
          f"{context}: the headline must be reported by task, and be better if"
          " 'lower' or 'higher'. Set by_task and better, or choose another"
          " metric as the headline."
      )
    for metric in self.metrics:
      if metric.has_figure and metric.unit != self.headline.unit:
        raise errors.InputError(
            f"{context}: the metric {metric.name!r} has another unit than the"
            " headline, so one figure cannot have both. Set has_figure=False."
        )
    for figure in self.figures:
      errors.choose(dict.fromkeys(FIGURES), figure, f"{context}: figures")
    errors.choose(
        dict.fromkeys((EXAMPLES, CHOICES)), self.rows, f"{context}: rows"
    )


class Context(NamedTuple):
  """What an evaluator reads, and where it computes.

  Attributes:
    store: has the examples.
    model: the model that is evaluated.
    mesh: the devices.
    batch_size: examples whose rows the devices hold at once; as in training.
    seed: the seed of draws.
  """

  store: store_lib.Store
  model: model_lib.Model
  mesh: jax.sharding.Mesh
  batch_size: int
  seed: int = 0


class Evaluator(abc.ABC):
  """The base class of evaluators.

  Args:
    name: the first part of the paths of its metrics.
    spec: its section of `config.evals`, with the options that it registered.
    context: what it reads, and where it computes.
    excluded_cut: the kind of cut examples to leave out, see `Store.cut`; "" for
      none.

  Attributes:
    name: the first part of the paths of its metrics.
    every_steps: steps between evaluations.
    ids: rows of the store that it reads, int64 [E].
    examples: ids of the examples that it judges by them.
    split_size: number of examples of the held-out set.

  Raises:
    InputError: there is no such held-out set, or none of its examples is left.
  """

  declaration: ClassVar[Declaration]

  def __init__(
      self,
      name: str,
      spec: config.Eval,
      context: Context,
      excluded_cut: str = "",
  ):
    self.name = name
    self.every_steps = spec.every_steps
    self.ids, self.split_size = subsets.select(
        spec, context.store, excluded_cut
    )
    self.examples = self.ids
    self.store = context.store

  @property
  def headline(self) -> Metric:
    """The metric that represents the others."""
    return self.declaration.headline

  def is_due(self, step: int, steps: int) -> bool:
    """Returns whether parameters are evaluated before a step of `steps`."""
    return metrics.is_due(step, self.every_steps, steps)

  @abc.abstractmethod
  def __call__(self, params: Any) -> Evaluation:
    """Evaluates parameters."""

  @classmethod
  def identity(cls, spec: config.Eval) -> dict[str, Any]:
    """Returns what decides results besides the options, such as a digest of
    files that an option names.

    Args:
      spec: its section of `config.evals`.
    """
    del spec  # The options decide.
    return {}

  @classmethod
  def example_values(
      cls, ids: np.ndarray, losses: np.ndarray, open_store: OpenStore
  ) -> Values:
    """Returns the values of each example, of which metrics are the means.

    By default, these are the numbers that `Evaluation.losses` has, and the
    headline is their mean.

    Args:
      ids: rows of the store, int64 [R].
      losses: what evaluations returned, float32 [n, R].
      open_store: opens the store, if it is needed.
    """
    del open_store  # The rows are the examples.
    name = cls.declaration.headline.name
    return Values(ids, {name: losses.astype(np.float64)})

  @classmethod
  def baselines(
      cls, ids: np.ndarray, open_store: OpenStore
  ) -> dict[str, Baseline]:
    """Returns what each accuracy is without a model, by the metric's name.

    Args:
      ids: rows of the store that are evaluated, int64 [R].
      open_store: opens the store, if it is needed.
    """
    del ids, open_store  # Not every metric is an accuracy.
    return {}

  def means(self, metric: str, values: np.ndarray) -> dict[str, float]:
    """Returns the means of a metric that is reported by task.

    Args:
      metric: its name.
      values: a value for each of the `examples`, [E].

    Returns:
      By path: the mean over examples, over tasks, and of each task.
    """
    exact = values.astype(np.float64)
    tasks = self.store.task_index[self.examples]
    by_task = subsets.by_task(exact, tasks, self.store.tasks)
    return {
        f"{self.name}/{metric}": float(exact.mean()),
        f"{self.name}/task_mean_{metric}": float(
            np.mean(list(by_task.values()))
        ),
        **subsets.metrics(by_task, self.name, metric),
    }
