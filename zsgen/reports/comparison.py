"""Orders compared over seeds: the numbers."""

from collections.abc import Mapping, Sequence
import functools
import pathlib
from typing import Any, NamedTuple

import numpy as np

from zsgen.core import errors
from zsgen.data import store as store_lib
from zsgen.evals import api
from zsgen.orders import order as order_lib
from zsgen.reports import curves, measures, order_view


class Point(NamedTuple):
  """One finished run of a comparison."""

  # The name of its order; runs of one name differ in their seed.
  order: str
  seed: int
  path: pathlib.Path


class Comparison(NamedTuple):
  """Runs by order and seed, all evaluated at the same steps."""

  # The reference comes first.
  runs: Mapping[str, Mapping[int, curves.Run]]
  # The order that the others are compared with.
  reference: str
  # The headline metric of each evaluation.
  evals: Mapping[str, api.Metric]


def open_points(
    points: Sequence[Point], reference: str = "random"
) -> Comparison:
  """Opens runs to compare them.

  Args:
    points: finished runs.
    reference: the order that the others are compared with; the first one, if
      there is none of this name.

  Raises:
    InputError: there is no run, or a run is damaged, comes twice, or was
      evaluated at other steps than the first.
  """
  if not points:
    raise errors.InputError("there is no finished run to compare.")
  runs: dict[str, dict[int, curves.Run]] = {}
  for point in points:
    of_order = runs.setdefault(point.order, {})
    if point.seed in of_order:
      raise errors.InputError(
          f"{point.path}: {point.order} has two runs of seed {point.seed}."
          " Give each order other seeds."
      )
    of_order[point.seed] = curves.open_run(point.path)
  first = runs[points[0].order][points[0].seed]
  for of_order in runs.values():
    for run in of_order.values():
      _check_alike(run, first)
  if reference not in runs:
    reference = points[0].order
  runs = {reference: runs[reference], **runs}
  evals = {
      name: first.declaration(name).headline
      for name in first.config.evaluations
  }
  return Comparison(runs, reference, evals)


def summary(comparison: Comparison) -> dict[str, Any]:
  """Returns all numbers of a comparison, as JSON values.

  Returns:
    `reference`; `evals`, the headline metric of each, with its `name`,
    `unit`, `better` and `label`; and `orders`, for each order
      seeds   which it has
      evals   by evaluation and measure: `values` by seed, their `spread`, and
              the paired `difference` to the reference, with its 95%
              `interval` and the least `detectable` difference (null for fewer
              than three seeds), and the interval `over_examples` of the same
              mean (null where no example has a value of its own)
      whole, first_tenth   what the examples of all steps, and of the first
              tenth of them, are: statistics by seed
  """
  open_store = functools.cache(store_lib.open_store)
  orders = {}
  for name, runs in comparison.runs.items():
    orders[name] = {
        "seeds": list(runs),
        "evals": {
            evaluation: _evaluated(comparison, name, evaluation)
            for evaluation in comparison.evals
        },
        "whole": {},
        "first_tenth": {},
    }
    for seed, run in runs.items():
      store = open_store(run.store)
      order = order_lib.Order.load(run.order, store)
      orders[name]["whole"][str(seed)] = order.statistics(store)
      orders[name]["first_tenth"][str(seed)] = order.statistics(
          store, order_view.first_tenth(run)
      )
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
      "orders": orders,
  }


def _check_alike(run: curves.Run, first: curves.Run) -> None:
  """Raises InputError unless two runs have the same steps and evaluations."""
  if run.steps != first.steps:
    raise errors.InputError(
        f"{run.path}: has {run.steps} steps, and {first.path} {first.steps}, so"
        " that their learning rates differ at every step. Compare runs of one"
        " length: set the same config.order.budget."
    )
  empty = curves.Curve(np.zeros(0, np.int64), np.zeros(0))
  for name in {*run.config.evaluations, *first.config.evaluations}:
    steps, expected = (
        compared.metrics.get(compared.headline(name), empty).steps
        if name in compared.config.evaluations
        else empty.steps
        for compared in (run, first)
    )
    if not np.array_equal(steps, expected):
      raise errors.InputError(
          f"{run.path}: {name} was evaluated at other steps than in"
          f" {first.path}. Compare runs of one length and config.evals."
      )


def _evaluated(
    comparison: Comparison, order: str, name: str
) -> dict[str, dict[str, Any]]:
  """Each measure of an order in the evaluation `name`."""
  runs, reference = (
      comparison.runs[label] for label in (order, comparison.reference)
  )
  of_order, of_reference = (
      {
          seed: measures.measure(run.metrics[run.headline(name)], run.steps)
          for seed, run in by_seed.items()
      }
      for by_seed in (runs, reference)
  )
  evaluated = {}
  for measure in ("first", *measures.COMPARED):
    values, reference_values = (
        {seed: measured[measure] for seed, measured in by_seed.items()}
        for by_seed in (of_order, of_reference)
    )
    evaluated[measure] = _compared(values, reference_values)
    if (difference := evaluated[measure]["difference"]) is not None:
      difference["over_examples"] = (
          None
          if order == comparison.reference
          else over_examples(runs, reference, name, measure)
      )
  return evaluated


def _compared(
    values: Mapping[int, float | None], reference: Mapping[int, float | None]
) -> dict[str, Any]:
  """A measure by seed, and what comes of it."""
  spread = measures.spread(values.values())
  difference = measures.paired(values, reference)
  return {
      "values": {str(seed): value for seed, value in values.items()},
      "spread": spread and spread._asdict(),
      "difference": difference and difference._asdict(),
  }


def over_examples(
    runs: Mapping[int, curves.Run],
    reference: Mapping[int, curves.Run],
    name: str,
    measure: str,
) -> measures.Interval | None:
  """Returns the interval of a difference over the examples of an evaluation.

  Args:
    runs: an order's runs, by seed.
    reference: the reference's.
    name: an evaluation; the value of each of its rows is what is compared.
    measure: one of `measures.measure`.

  Returns:
    None if no seed has both, the seeds have other held-out examples, or a row
    has no value.
  """
  differences, ids = [], None
  for seed, run in runs.items():
    if seed not in reference:
      continue
    evaluations = run.evaluation(name), reference[seed].evaluation(name)
    ids = evaluations[0].ids if ids is None else ids
    if not all(np.array_equal(ids, of_run.ids) for of_run in evaluations):
      return None
    values, reference_values = (
        measures.of_examples(of_run, run.steps, measure)
        for of_run in evaluations
    )
    differences.append(values - reference_values)
  if not differences or not np.isfinite(differences).all():
    return None
  return measures.over_examples(np.mean(differences, axis=0))
