"""The closing table of `--stage=evaluate`."""

import pathlib

from zsgen import evals
from zsgen.core import artifacts, config
from zsgen.evals import once
from zsgen.reports import grids


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
