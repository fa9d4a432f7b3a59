"""What a run showed: result.json, the closing table and the page."""

import pathlib
from typing import Any

import rich.table

from zsgen.core import errors
from zsgen.data import store as store_lib
from zsgen.orders import order as order_lib
from zsgen.reports import (
    certainty,
    curves,
    grids,
    measures,
    order_view,
    origins,
    page,
    probe_view,
    results,
    targets,
    trace_view,
)
from zsgen.reports.interactive import embedded as embedded_lib
from zsgen.reports.interactive import subject as subject_lib
from zsgen.train import metrics as train_metrics


def result(path: pathlib.Path) -> dict[str, Any]:
  """Returns the numbers of a finished run, as JSON values.

  Args:
    path: the run's directory.

  Returns:
    `steps`; `evals`: for each evaluation the measures (see `measures`) of the
    metrics that its evaluator declares, how sure the last ones are (see
    `certainty`), and the share of examples `improved` if its headline is better
    when lower; `targets` by name.

  Raises:
    InputError: the run is damaged.
  """
  return _result(curves.open_run(path))


def _result(run: curves.RunRecords) -> dict[str, Any]:
  """Returns a run's result as JSON values."""
  return {
      "steps": run.steps,
      "evals": {name: _evaluated(run, name) for name in run.config.evaluations},
      "targets": {
          name: outcome._asdict()
          for name, outcome in targets.check(run).items()
      },
  }


def tables(run: curves.RunRecords) -> list[rich.table.Table]:
  """Builds the closing tables, for the terminal."""
  result = _result(run)
  return [
      grids.to_rich(results.measured(run, result)),
      grids.to_rich(results.certain(run, result)),
  ]


def write(
    run: curves.RunRecords, store: store_lib.Store, order: order_lib.Order
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
  subject = subject_lib.from_run(run)
  embedded = embedded_lib.embed(subject)
  blocks = [
      *origins.oracle(order),
      page.slot("selection"),
      results.heldout(run, _result(run)),
      results.goals(run),
      results.tasks(run, store),
      probe_view.section(run),
      examples(subject),
      order_view.ordered(run, store, order),
      *trace_view.notes(run, order),
      results.training(run),
      origins.setup(run, store, order),
      origins.prepared(store),
      origins.proof(run),
      _files(run),
      embedded.notes,
  ]
  title = f"{run.config.name}: {order.path.name}, seed {run.config.seed}"
  content = page.page(title, blocks, embedded.data)
  return page.save(run.path / "report.html", content)


def examples(subject: subject_lib.Subject) -> str:
  """Builds the section of held-out examples; "" if nothing was evaluated."""
  if not subject.evaluations:
    return ""
  return page.section("Held-out examples", [page.slot("examples")])


def _files(run: curves.RunRecords) -> str:
  """Builds the section of files, which are next to the page or in it."""
  names = ("config.json", "metrics.jsonl", "perf.jsonl")
  blocks = [page.link(name, name) for name in names]
  return page.section("Files", [*blocks, embedded_lib.metrics_file(run)])


def _evaluated(run: curves.RunRecords, name: str) -> dict[str, Any]:
  """Measures of one evaluation, which must have been done to the end."""
  declared = run.declaration(name)
  values = {}
  for metric in declared.metrics:
    for mean in metric.names:
      curve = run.metrics.get(f"{name}/{mean}")
      if curve is None or curve.steps[-1] != run.steps:
        raise errors.InputError(
            f"{run.path / 'metrics.jsonl'}: {name}/{mean} at step {run.steps}"
            " is missing. The run is damaged; delete its directory."
        )
      values[mean] = measures.measure(curve, run.steps)
      if metric.better != train_metrics.LOWER:
        del values[mean]["drop"]  # Of what should fall only.
  for metric, known in certainty.describe(run, name).items():
    values[metric] |= known
  if declared.headline.better == train_metrics.LOWER:
    values["improved"] = measures.improved(run.evaluation(name))
  return values
