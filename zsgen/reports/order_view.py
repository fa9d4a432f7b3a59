"""Describes an order: statistics, figure, first examples."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zsgen.data import store as store_lib
from zsgen.orders import order as order_lib
from zsgen.reports import curves, grids, page

# Columns of every comparison of orders.
COLUMNS = {
    "tasks": "tasks",
    "loss_tokens": "loss tokens",
    "mean_prompt_tokens": "prompt tokens",
    "mean_similarity": "similarity",
    "rounds": "rounds",
}
# Number of examples of the order, and of characters of their prompts.
_EXAMPLES, _CHARACTERS = 10, 160


def ordered(
    run: curves.RunRecords, store: store_lib.Store, order: order_lib.Order
) -> str:
  """Returns the section on an order, with its interactive figures."""
  return page.section(
      "The order",
      [
          grids.to_html(_statistics(run, store, order)),
          page.slot("order"),
          page.folded("First examples", [_head(store, order)]),
      ],
  )


def first_tenth(run: curves.RunRecords) -> int:
  """Returns the number of examples in the first tenth of the steps (at least
  one).
  """
  return max(run.steps // 10, 1) * run.batch_size


def cells(statistics: Sequence[Mapping[str, Any]]) -> list[str]:
  """Returns the `COLUMNS` of an order, as means over seeds."""
  digits = {"mean_prompt_tokens": 1, "mean_similarity": 3}
  return [
      grids.number(
          _mean([seed[name] for seed in statistics]), digits.get(name, 0)
      )
      for name in COLUMNS
  ]


def _mean(values: Sequence[float | None]) -> float | None:
  """Returns the mean; None if a value is unknown or all are 0 (no rounds)."""
  known = [value for value in values if value is not None]
  if len(known) < len(values) or not any(known):
    return None
  return float(np.mean(known))


def _statistics(
    run: curves.RunRecords, store: store_lib.Store, order: order_lib.Order
) -> grids.Grid:
  """Returns statistics of the whole order and of its first tenth."""
  rows = [
      [label, *cells([order.statistics(store, stop)])]
      for label, stop in (
          ("first tenth", first_tenth(run)),
          ("whole", len(order)),
      )
  ]
  return grids.Grid("Statistics", ("", *COLUMNS.values()), rows)


def along(
    run: curves.RunRecords, store: store_lib.Store, order: order_lib.Order
) -> dict[str, curves.Curve]:
  """Returns what changes along the order, by titles, one point per step."""
  starts = np.arange(0, len(order), run.batch_size)
  sizes = np.diff(starts, append=len(order))
  is_first_of_task = np.zeros(len(order))
  is_first_of_task[
      np.unique(store.task_index[order.ids], return_index=True)[1]
  ] = 1
  curves_by_title = {
      "distinct tasks so far": (
          np.add.reduceat(is_first_of_task, starts).cumsum()
      ),
  }
  if np.isfinite(order.similarity).any():
    sums = np.add.reduceat(order.similarity.astype(np.float64), starts)
    curves_by_title["similarity to the target"] = sums / sizes
  if order.rounds.any():
    sums = np.add.reduceat(order.rounds, starts)
    curves_by_title["round"] = sums / sizes
  steps = run.first_of_order + np.arange(len(starts))
  return {
      title: curves.Curve(steps, values.astype(np.float64))
      for title, values in curves_by_title.items()
  }


def _head(store: store_lib.Store, order: order_lib.Order) -> str:
  """Returns a table of the first examples of the order."""
  ids = order.ids[:_EXAMPLES]
  rows = [
      [
          str(position),
          store.tasks[store.task_index[example]],
          prompt if len(prompt) <= _CHARACTERS else f"{prompt[:_CHARACTERS]}…",
          str(order.rounds[position] or grids.MISSING),
          grids.number(_finite(order.similarity[position])),
      ]
      for position, (example, (prompt, _)) in enumerate(
          zip(ids, store.texts(ids), strict=True)
      )
  ]
  header = ("position", "task", "prompt", "round", "similarity")
  return grids.to_html(grids.Grid("", header, rows, words=3))


def _finite(value: np.floating) -> float | None:
  return float(value) if np.isfinite(value) else None
