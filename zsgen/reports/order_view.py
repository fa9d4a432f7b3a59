"""What an order is made of: statistics, figure, first examples."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zsgen.data import store as store_lib
from zsgen.orders import order as order_lib
from zsgen.reports import curves, figures, grids, page

# Columns that stand beside every comparison of orders.
COLUMNS = {
    "tasks": "tasks",
    "loss_tokens": "loss tokens",
    "mean_prompt_tokens": "prompt tokens",
    "mean_similarity": "similarity",
    "rounds": "rounds",
}
# Examples of the order, and characters of their prompts, that are shown.
_SHOWN, _CHARACTERS = 10, 160


def ordered(
    run: curves.Run, store: store_lib.Store, order: order_lib.Order
) -> str:
  """What the order is made of, along the steps."""
  return page.section(
      "The order",
      [
          grids.to_html(_statistics(run, store, order)),
          page.figure(
              figures.plot([_along(run, store, order)]),
              "Similarity, round and tasks along the order",
          ),
          page.folded("Its first examples", [_head(store, order)]),
      ],
  )


def first_tenth(run: curves.Run) -> int:
  """Examples of the first tenth of the steps, at least one step."""
  return max(run.steps // 10, 1) * run.batch_size


def cells(found: Sequence[Mapping[str, Any]]) -> list[str]:
  """`COLUMNS` of an order, means over the seeds of `found`."""
  digits = {"mean_prompt_tokens": 1, "mean_similarity": 3}
  return [
      grids.number(_mean([each[name] for each in found]), digits.get(name, 0))
      for name in COLUMNS
  ]


def _mean(values: Sequence[float | None]) -> float | None:
  """Mean; None where a value is not known, or all are 0 (no rounds)."""
  return None if None in values or not any(values) else float(np.mean(values))


def _statistics(
    run: curves.Run, store: store_lib.Store, order: order_lib.Order
) -> grids.Grid:
  """Statistics of the whole order and of its first tenth."""
  rows = [
      [label, *cells([order.statistics(store, stop)])]
      for label, stop in (
          ("first tenth", first_tenth(run)),
          ("whole", len(order)),
      )
  ]
  return grids.Grid("What it is made of", ("", *COLUMNS.values()), rows)


def _along(
    run: curves.Run, store: store_lib.Store, order: order_lib.Order
) -> list[figures.Panel]:
  """What changes along the order, a point a step."""
  starts = np.arange(0, len(order), run.batch_size)
  sizes = np.diff([*starts, len(order)])
  first_seen = np.zeros(len(order))
  first_seen[np.unique(store.task_index[order.ids], return_index=True)[1]] = 1
  shown = {
      "distinct tasks so far": np.add.reduceat(first_seen, starts).cumsum(),
  }
  if np.isfinite(order.similarity).any():
    sums = np.add.reduceat(order.similarity.astype(np.float64), starts)
    shown["similarity to the target"] = sums / sizes
  if order.rounds.any():
    sums = np.add.reduceat(order.rounds, starts)
    shown["round"] = sums / sizes
  steps = np.arange(len(starts))
  return [
      figures.Panel(
          title,
          "step",
          "",
          [figures.Line("order", steps, values[None])],
          height=2.6,
      )
      for title, values in shown.items()
  ]


def _head(store: store_lib.Store, order: order_lib.Order) -> str:
  """The first examples of the order."""
  ids = order.ids[:_SHOWN]
  rows = [
      [
          str(place),
          store.tasks[store.task_index[example]],
          prompt if len(prompt) <= _CHARACTERS else f"{prompt[:_CHARACTERS]}…",
          str(order.rounds[place] or grids.MISSING),
          grids.number(_finite(order.similarity[place])),
      ]
      for place, (example, (prompt, _)) in enumerate(
          zip(ids, store.texts(ids), strict=True)
      )
  ]
  header = ("position", "task", "prompt", "round", "similarity")
  return grids.to_html(grids.Grid("", header, rows, words=3))


def _finite(value: np.floating) -> float | None:
  return float(value) if np.isfinite(value) else None
