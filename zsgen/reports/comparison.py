"""Runs compared over seeds: the numbers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import functools
import pathlib
from typing import Any, NamedTuple

import numpy as np

from zsgen.core import errors
from zsgen.data import store as store_lib
from zsgen.evals import api
from zsgen.reports import (
    alignment,
    curves,
    measures,
    order_view,
    repetition,
)

OpenRecords = Callable[[pathlib.Path], curves.RunRecords]
# The label that others are compared with, if there is one of this name.
_REFERENCE = "random"


class Point(NamedTuple):
  """One finished run of a comparison."""

  # The name of its order, or another label; runs of one differ in their seed.
  order: str
  seed: int
  path: pathlib.Path


@dataclasses.dataclass(frozen=True)
class Comparison:
  """Runs by label and seed, which may share only a part of their evaluations.

  Attributes:
    runs: by label (the name of an order, in a sweep) and seed; the reference
      comes first.
    reference: the label that the others are compared with.
    evals: the headline metric of each evaluation.
  """

  runs: Mapping[str, Mapping[int, curves.RunRecords]]
  reference: str
  evals: Mapping[str, api.Metric]

  def headlines(self, label: str, name: str) -> dict[int, curves.Curve]:
    """Returns the headline of an evaluation, by the seeds that have it."""
    return {
        seed: run.metrics[run.headline(name)]
        for seed, run in self.runs[label].items()
        if name in run.config.evaluations and run.headline(name) in run.metrics
    }

  def pairs(self, label: str, name: str) -> dict[int, alignment.Pair]:
    """Returns runs with the reference's, by the seeds that can be compared."""
    return {
        seed: aligned.pair
        for seed, aligned in self._aligned[label, name].items()
        if aligned.pair is not None
    }

  def notes(self) -> list[str]:
    """Returns a sentence about each thing that runs do not share."""
    return [
        f"{note} ({_seeds(seeds)})"
        for note, seeds in self._seeds_by_note().items()
    ]

  def _seeds_by_note(self) -> dict[str, list[int]]:
    """Returns what is not shared, and the seeds of which that is so."""
    noted: dict[str, list[int]] = {}
    references = self.runs[self.reference]
    for label, runs in self.runs.items():
      for seed, run in runs.items():
        for note in _differences_of_runs(label, run, references.get(seed)):
          noted.setdefault(note, []).append(seed)
      for name in self.evals:
        for seed, aligned in self._aligned[label, name].items():
          for note in aligned.notes if label != self.reference else ():
            noted.setdefault(f"{label}, {name}: {note}", []).append(seed)
    return noted

  @functools.cached_property
  def _aligned(self) -> dict[tuple[str, str], dict[int, alignment.Aligned]]:
    """Every run aligned with the reference's, by label, evaluation and seed."""
    open_store = functools.cache(store_lib.open_store)
    references = self.runs[self.reference]
    return {
        (label, name): {
            seed: alignment.align(run, references[seed], name, open_store)
            for seed, run in runs.items()
            if seed in references
        }
        for label, runs in self.runs.items()
        for name in self.evals
    }


def open_points(
    points: Sequence[Point],
    reference: str = "",
    open_records: OpenRecords = curves.open_run,
) -> Comparison:
  """Opens runs to compare them.

  Args:
    points: finished runs.
    reference: the label that the others are compared with; by default "random"
      or, if there is none, the first one.
    open_records: opens what a point names.

  Raises:
    InputError: there is no run, or a run is damaged or comes twice; or the
      reference is unknown.
  """
  if not points:
    raise errors.InputError("there is no finished run to compare.")
  runs: dict[str, dict[int, curves.RunRecords]] = {}
  for point in points:
    by_seed = runs.setdefault(point.order, {})
    if point.seed in by_seed:
      raise errors.InputError(
          f"{point.path}: {point.order} has two runs of seed {point.seed}."
          " Give each order other seeds."
      )
    by_seed[point.seed] = open_records(point.path)
  if not reference:
    reference = _REFERENCE if _REFERENCE in runs else points[0].order
  runs = {
      reference: errors.choose(runs, reference, "the reference"),
      **runs,
  }
  evals: dict[str, api.Metric] = {}
  for by_seed in runs.values():
    for run in by_seed.values():
      for name in run.config.evaluations:
        evals.setdefault(name, run.declaration(name).headline)
  return Comparison(runs, reference, evals)


def _differences_of_runs(
    label: str, run: curves.RunRecords, reference: curves.RunRecords | None
) -> Iterator[str]:
  """Yields what a run does not share with the reference's run of its seed."""
  if reference is None:
    yield f"{label}: the reference has no such seed, so it has no difference."
  elif run.steps != reference.steps:
    yield (
        f"{label}: it has {run.steps:,} steps, and the reference"
        f" {reference.steps:,}, so that their learning rates differ at every"
        " step."
    )


def _seeds(seeds: Sequence[int]) -> str:
  words = ", ".join(map(str, dict.fromkeys(seeds)))
  return f"seed {words}" if len(set(seeds)) == 1 else f"seeds {words}"


def summary(comparison: Comparison) -> dict[str, Any]:
  """Returns all numbers of a comparison, as JSON values.

  Returns:
    `reference`; `evals`, the headline metric of each, with its `name`,
    `unit`, `better` and `label`; `notes` on what is not shared; and `orders`,
    for each order
      seeds   which it has
      evals   by evaluation and measure: `values` by seed, their `spread`, and
              the paired `difference` to the reference, with its 95%
              `interval` and the least `detectable` difference (null for fewer
              than three seeds), and the interval `over_examples` of the same
              mean (null where no example has a value of its own)
      whole, first_tenth   what the examples of all steps, and of the first
              tenth of them, are: statistics by seed
      repetition   shares of the `examples` that all seeds have, and have in
              the same `tenths` of the steps (null for a single seed)
  """
  open_store = functools.cache(store_lib.open_store)
  orders = {}
  for name, runs in comparison.runs.items():
    orders[name] = {
        "seeds": list(runs),
        "evals": {
            evaluation: evaluation_measures(comparison, name, evaluation)
            for evaluation in comparison.evals
        },
        "whole": {},
        "first_tenth": {},
    }
    consumed = []
    for seed, run in runs.items():
      store = open_store(run.store)
      order = run.load_order(store)
      consumed.append((store, order.ids[: run.steps * run.batch_size]))
      orders[name]["whole"][str(seed)] = order.statistics(store)
      orders[name]["first_tenth"][str(seed)] = order.statistics(
          store, order_view.first_tenth(run)
      )
    repeated = repetition.measure(consumed)
    orders[name]["repetition"] = repeated and repeated._asdict()
  return {
      "reference": comparison.reference,
      "evals": {
          name: {
              "name": metric.name,
              "unit": metric.unit,
              "better": metric.better,
              "label": metric.label,
          }
          for name, metric in comparison.evals.items()
      },
      "notes": comparison.notes(),
      "orders": orders,
  }


def evaluation_measures(
    comparison: Comparison, label: str, name: str
) -> dict[str, dict[str, Any]]:
  """Returns each measure of the evaluation `name` of a label's runs.

  Values are over all that the runs evaluated, differences over what they share
  with the reference.

  Returns:
    By measure what `summary` describes.
  """
  runs = comparison.runs[label]
  by_seed = {
      seed: measures.measure(curve, runs[seed].steps)
      for seed, curve in comparison.headlines(label, name).items()
  }
  pairs = comparison.pairs(label, name)
  differences = paired_measures(pairs)
  by_measure = {}
  for measure in ("first", *measures.COMPARED):
    difference = differences[measure]
    described = difference and difference._asdict()
    if described is not None:
      described["over_examples"] = (
          None
          if label == comparison.reference
          else over_examples(list(pairs.values()), measure)
      )
    values = _select(by_seed, measure)
    spread = measures.spread(values.values())
    by_measure[measure] = {
        "values": {str(seed): value for seed, value in values.items()},
        "spread": spread and spread._asdict(),
        "difference": described,
    }
  return by_measure


def paired_measures(
    pairs: Mapping[int, alignment.Pair],
) -> dict[str, measures.Difference | None]:
  """Returns the differences of each measure, paired within a seed.

  Args:
    pairs: of one evaluation, by seed.
  """
  values, reference_values = (
      {
          seed: measures.measure(curve, pairs[seed].steps)
          for seed, curve in side.items()
      }
      for side in (
          {seed: pair.curve for seed, pair in pairs.items()},
          {seed: pair.reference_curve for seed, pair in pairs.items()},
      )
  )
  return {
      measure: measures.paired(
          _select(values, measure), _select(reference_values, measure)
      )
      for measure in ("first", *measures.COMPARED)
  }


def _select(
    by_seed: Mapping[int, Mapping[str, float | None]], measure: str
) -> dict[int, float | None]:
  """Returns one measure of each seed."""
  return {seed: measured[measure] for seed, measured in by_seed.items()}


def over_examples(
    pairs: Sequence[alignment.Pair], measure: str
) -> measures.Interval | None:
  """Returns the interval of a difference over the examples of an evaluation.

  Args:
    pairs: of one evaluation, a seed each.
    measure: one of `measures.measure`.

  Returns:
    None where `example_differences` is.
  """
  differences = example_differences(pairs, measure)
  return None if differences is None else measures.over_examples(differences)


def example_differences(
    pairs: Sequence[alignment.Pair], measure: str
) -> np.ndarray | None:
  """Returns the difference of each example, the mean over seeds, float64 [E].

  Args:
    pairs: of one evaluation, a seed each.
    measure: one of `measures.measure`.

  Returns:
    None if there is no pair, the seeds have other held-out examples, or a row
    has no value.
  """
  differences = []
  for pair in pairs:
    if not np.array_equal(pair.evaluation.ids, pairs[0].evaluation.ids):
      return None
    values, reference_values = (
        measures.of_examples(evaluation, pair.steps, measure)
        for evaluation in (pair.evaluation, pair.reference_evaluation)
    )
    differences.append(values - reference_values)
  if not differences or not differences[0].size:
    return None
  if not np.isfinite(differences).all():
    return None
  return np.mean(differences, axis=0)
