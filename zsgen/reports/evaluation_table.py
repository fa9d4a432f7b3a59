"""The closing tables of `--stage=evaluate`."""

import pathlib

from zsgen import evals
from zsgen.core import artifacts, config
from zsgen.evals import once
from zsgen.reports import certainty, evaluations, grids

INTERVALS = "intervals.json"


def write_intervals(
    path: pathlib.Path, evaluated: config.Config, store: pathlib.Path
) -> None:
  """Writes intervals.json: by evaluation, what `certainty.describe` returns.

  Args:
    path: the directory that `once.write` filled.
    evaluated: the config whose evaluations they are.
    store: the directory of the store.
  """
  records = evaluations.records(path, evaluated, store)
  described = {
      name: certainty.describe(records, name) for name in evaluated.evals
  }
  artifacts.write_json(path / INTERVALS, described)


def grids_of(
    path: pathlib.Path, evaluated: config.Config, store: pathlib.Path
) -> list[grids.Grid]:
  """Returns the tables of means, of details, and of intervals and baselines.

  Args:
    path: the directory of the evaluation.
    evaluated: the config whose evaluations they are.
    store: the directory of the store.

  Raises:
    InputError: a file is missing or damaged.
  """
  tables = [grid(path, evaluated)]
  for name in evaluated.evals:
    details = path / "evals" / name / once.DETAILS
    if details.exists() and (table := artifacts.read_json(details)["table"]):
      tables.append(grids.Grid(**table))
  if (path / INTERVALS).exists():  # Older versions wrote none.
    records = evaluations.records(path, evaluated, store)
    described = artifacts.read_json(path / INTERVALS)
    values = artifacts.read_json(path / once.METRICS)
    tables.append(certainty.grid(records, described, values))
  tables = [table for table in tables if table.rows]
  return tables


def grid(path: pathlib.Path, evaluated: config.Config) -> grids.Grid:
  """Returns what was measured, a line a metric.

  Args:
    path: the directory that `once.write` filled.
    evaluated: the config whose evaluations they are.

  Raises:
    InputError: a file is missing or damaged.
  """
  metrics = artifacts.read_json(path / once.METRICS)
  counts = artifacts.read_json(path / once.COUNTS)
  rows = []
  for name, spec in evaluated.evals.items():
    for metric in evals.declaration(spec).metrics:
      means = [metrics.get(f"{name}/{mean}") for mean in metric.names]
      rows.append(
          [
              name,
              metric.words,
              metric.unit_sign,
              grids.number(counts[name]["tasks"], 0),
              grids.number(counts[name]["examples"], 0),
              *(grids.number(mean) for mean in (*means, None)[:2]),
          ]
      )
  header = ("evaluation", "metric", "unit", "tasks", "examples", "mean")
  note = f"Every task: {path / once.METRICS}"
  return grids.Grid(
      "Evaluated", (*header, "over tasks"), rows, words=3, note=note
  )
