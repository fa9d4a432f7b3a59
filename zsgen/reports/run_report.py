"""What a run showed: result.json, the closing table and the page."""

import pathlib
from typing import Any

import rich.table

from zsgen.core import errors
from zsgen.data import store as store_lib
from zsgen.orders import order as order_lib
from zsgen.reports import (
    curves,
    grids,
    measures,
    order_view,
    origins,
    page,
    results,
    targets,
    trace_view,
)

# Metrics of an evaluation that are measured, by what stands for it.
_METRICS = {
    "loss": ("loss", "task_mean_loss"),
    "accuracy": (
        "accuracy",
        "task_mean_accuracy",
        "accuracy_sum",
        "task_mean_accuracy_sum",
    ),
    "exact_match": ("exact_match", "task_mean_exact_match", "token_accuracy"),
    "rougeL": (
        "rougeL",
        "task_mean_rougeL",
        "rouge1",
        "task_mean_rouge1",
        "exact_match",
        "task_mean_exact_match",
        "normalized_match",
        "task_mean_normalized_match",
    ),
}


def result(path: pathlib.Path) -> dict[str, Any]:
  """The numbers of a finished run, JSON-able.

  Args:
    path: the run's directory.

  Returns:
    `steps`; `evals`: for each evaluation the measures (see `measures`) of
    `loss` and `task_mean_loss`, and the share of examples `improved`; or of
    `accuracy` and `task_mean_accuracy`, both also by `_sum`. `targets` by
    name.

  Raises:
    InputError: the run is damaged.
  """
  return _result(curves.open_run(path))


def _result(run: curves.Run) -> dict[str, Any]:
  return {
      "steps": run.steps,
      "evals": {name: _evaluated(run, name) for name in run.config.evals},
      "targets": {
          name: outcome._asdict()
          for name, outcome in targets.check(run).items()
      },
  }


def table(run: curves.Run) -> rich.table.Table:
  """The closing table, for the terminal."""
  return grids.to_rich(results.measured(run, _result(run)))


def write(
    run: curves.Run, store: store_lib.Store, order: order_lib.Order
) -> pathlib.Path:
  """Writes `report.html` into a run's directory.

  Args:
    run: what was opened; its records are read once.
    store: the run's store.
    order: the run's order.

  Returns:
    Where the page is.

  Raises:
    InputError: the run is damaged.
  """
  blocks = [
      *origins.oracle(order),
      results.heldout(run, _result(run)),
      trace_view.section(run, order),
      results.goals(run),
      origins.setup(run, store, order),
      order_view.ordered(run, store, order),
      results.tasks(run, store),
      results.training(run),
      origins.prepared(store),
      origins.proof(run),
  ]
  title = f"{run.config.name}: {order.path.name}, seed {run.config.seed}"
  return page.save(run.path / "report.html", page.page(title, blocks))


def _evaluated(run: curves.Run, name: str) -> dict[str, Any]:
  """Measures of one evaluation, which must have been done to the end."""
  curve = run.metrics.get(run.headline(name))
  if curve is None or curve.steps[-1] != run.steps:
    raise errors.InputError(
        f"{run.path / 'metrics.jsonl'}: the evaluation {name} at step"
        f" {run.steps} is missing. The run is damaged; delete its directory."
    )
  kind = run.kind(name)
  found = {
      metric: measures.measure(run.metrics[f"{name}/{metric}"], run.steps)
      for metric in _METRICS[kind]
  }
  if kind == "loss":
    found["improved"] = measures.improved(run.evaluation(name))
  else:
    for values in found.values():
      del values["drop"]  # Of losses only.
  return found
