"""Curves of a page: metrics of runs against step, and their differences."""

from collections.abc import Collection, Iterator, Mapping
import dataclasses
from typing import Any, NamedTuple

import numpy as np

from zsgen.evals import metrics as eval_metrics
from zsgen.reports import alignment, curves, measures, order_view, trace_view
from zsgen.reports.interactive import encoding
from zsgen.reports.interactive import steps as steps_lib
from zsgen.reports.interactive import subject as subject_lib
from zsgen.train import metrics

HELDOUT, TRAINING, ORDER = GROUPS = ("heldout", "training", "order")
_OVER_TASKS = "task_mean_"
# Metrics of perf.jsonl that have a figure, and what it calls them.
_PERF = {
    "perf/step_seconds": "seconds of each step",
    "perf/tokens_per_second": "tokens per second",
}
# Points of a curve, at the most.
MOST_POINTS = 1000


@dataclasses.dataclass(frozen=True)
class Display:
  """A metric of a page.

  Attributes:
    path: its path, such as "heldout/loss".
    label: its name with the unit.
    group: the figure that draws it, one of `GROUPS`.
    evaluation: the evaluation that measures it; "" for none.
    headline: whether it represents its evaluation.
  """

  path: str
  label: str
  group: str
  evaluation: str = ""
  headline: bool = False


class _Line(NamedTuple):
  """A curve of a member."""

  member: int
  metric: Display
  curve: curves.Curve
  # Half of the 95% interval over examples, [n], if it is known.
  half: np.ndarray | None = None


def build(
    subject: subject_lib.Subject,
    steps: steps_lib.Steps,
    limit: int,
    groups: Collection[str] = GROUPS,
) -> dict[str, Any]:
  """Returns the metrics, the curves and the differences of a page.

  Args:
    subject: what the page shows.
    steps: numbers the steps of curves.
    limit: points of a curve, at the most; 0 for no curve.
    groups: the figures that the page has.

  Raises:
    InputError: a record is damaged.
  """
  lines = [
      line
      for i in range(len(subject.members))
      for line in _lines(subject, i)
      if line.metric.group in groups
  ]
  displays = dict.fromkeys(line.metric for line in lines)
  rank = {metric: i for i, metric in enumerate(sorted(displays, key=_rank))}
  return {
      "metrics": [dataclasses.asdict(metric) for metric in rank],
      "curves": [
          {
              "member": line.member,
              "metric": rank[line.metric],
              **points(line.curve, line.half, steps, limit),
          }
          for line in lines
          if limit
      ],
      "differences": [
          {
              "member": compared.member,
              "reference": compared.reference,
              "evaluation": compared.evaluation,
              "same": _has_same_rows(subject, compared),
              **points(
                  compared.pair.differences,
                  _half_of_difference(compared.pair),
                  steps,
                  limit,
              ),
          }
          for compared in subject.compared
          if limit
      ],
  }


def longest(
    subject: subject_lib.Subject, groups: Collection[str] = GROUPS
) -> int:
  """Returns the number of points of the longest curve of the given figures."""
  lengths = [
      len(curve.steps)
      for member in subject.members
      for path, curve in member.metrics.items()
      if path.count("/") == 1
      and (TRAINING in groups or not path.startswith("train/"))
  ]
  if ORDER in groups:
    lengths += [run.steps for run in subject.trained.values()]
  return max(lengths, default=0)


def _rank(metric: Display) -> tuple[int, bool]:
  """Sorts by figure, headlines first."""
  return GROUPS.index(metric.group), not metric.headline


def _lines(subject: subject_lib.Subject, member: int) -> Iterator[_Line]:
  """Yields all curves of a member, but for those of tasks."""
  label, _, run, by_path, is_parent = subject.members[member]
  del label
  for path, curve in by_path.items():
    metric = _describe(run, path)
    if metric is not None:
      is_own = metric.headline and not is_parent
      half = _half_over_examples(run, metric, curve) if is_own else None
      yield _Line(member, metric, curve, half)
  if member not in subject.trained:
    return
  for path, name in _PERF.items():
    if path in run.perf:
      yield _Line(member, Display(path, name, TRAINING), run.perf[path])
  order = subject.load_order(member)
  store = subject.open_store(run.store)
  along = order_view.along(run, store, order)
  for name, curve in {**along, **trace_view.distances(run, order)}.items():
    yield _Line(member, Display(f"order/{name}", name, ORDER), curve)


def _describe(run: curves.RunRecords, path: str) -> Display | None:
  """Returns how a metric is shown; None for those of tasks."""
  name, _, rest = path.partition("/")
  if "/" in rest:
    return None
  known = eval_metrics.find(run.config.evaluations, path)
  if name == "train":
    return Display(path, known.heading if known else rest, TRAINING)
  if name not in run.config.evaluations:
    return None
  if "means" not in run.declaration(name).figures:
    return None
  is_headline = path == run.headline(name)
  words = _words(known, rest)
  return Display(path, f"{name}: {words}", HELDOUT, name, is_headline)


def _words(known: metrics.Metric | None, name: str) -> str:
  """Returns what a mean or a part of a metric is called, with the unit."""
  if known is None:
    return name
  if name == known.name:
    return known.heading
  if name.startswith(_OVER_TASKS):
    return known.with_unit(f"{known.words}, mean over tasks")
  return known.with_unit(name.replace("_", " "))


def _half_over_examples(
    run: curves.RunRecords, metric: Display, curve: curves.Curve
) -> np.ndarray | None:
  """Returns half of the 95% interval of a mean over examples, [n].

  Returns:
    None if the metric is not a mean over the values of the examples.
  """
  evaluation = run.evaluation(metric.evaluation)
  if not np.array_equal(evaluation.steps, curve.steps):
    return None
  if not alignment.is_mean(curve, evaluation):
    return None
  return measures.half_widths(evaluation.losses.T.astype(np.float64))


def _half_of_difference(pair: alignment.Pair) -> np.ndarray | None:
  """Returns half of the 95% interval of a difference over examples, [n]."""
  values, reference = pair.evaluation, pair.reference_evaluation
  if not np.array_equal(values.steps, pair.curve.steps):
    return None
  differences = values.losses.astype(np.float64) - reference.losses
  if not np.allclose(
      differences.mean(axis=1), pair.differences.values, atol=1e-3
  ):
    return None
  return measures.half_widths(differences.T)


def _has_same_rows(
    subject: subject_lib.Subject, compared: subject_lib.Compared
) -> bool:
  """Returns whether a run and the reference's evaluated the same rows."""
  sizes = [
      len(subject.members[i].run.evaluation(compared.evaluation).ids)
      for i in (compared.member, compared.reference)
  ]
  return sizes == [len(compared.pair.evaluation.ids)] * 2


def points(
    curve: curves.Curve,
    half: np.ndarray | None,
    steps: steps_lib.Steps,
    limit: int,
) -> Mapping[str, Any]:
  """Returns a curve as JSON values, thinned to `limit` points.

  Args:
    curve: a curve of [n] values.
    half: half of the intervals of its values, [n], or None.
    steps: numbers the steps of curves.
    limit: points, at the most.
  """
  rows = encoding.spaced(len(curve.steps), limit)
  return {
      "steps": steps.number(curve.steps[rows]),
      "values": encoding.numbers(curve.values[rows]),
      "half": None if half is None else encoding.numbers(half[rows]),
  }
