"""The closing table of `--stage=evaluate`."""

import pathlib

from zsgen.core import artifacts, config
from zsgen.evals import once
from zsgen.reports import grids

# Metrics of each kind, and what is said of them.
_SAID = {
    "loss": {"loss": "loss"},
    "accuracy": {
        "accuracy": "accuracy",
        "accuracy_sum": "accuracy, by sum",
    },
    "exact_match": {"exact_match": "exact match"},
    "rougeL": {
        "rougeL": "ROUGE-L",
        "rouge1": "ROUGE-1",
        "exact_match": "exact match",
        "normalized_match": "normalised",
    },
}


def grid(path: pathlib.Path, found: config.Config) -> grids.Grid:
  """What was found, a line a metric.

  Args:
    path: the directory that `once.write` filled.
    found: the config whose evaluations they are.

  Raises:
    InputError: a file is missing or damaged.
  """
  metrics = artifacts.read_json(path / once.METRICS)
  counts = artifacts.read_json(path / once.COUNTS)
  rows = []
  for name, spec in found.evals.items():
    kind, count = config.HEADLINES[spec.type], counts[name]
    for metric, words in _SAID[kind].items():
      means = (metric, f"task_mean_{metric}")
      rows.append(
          [
              name,
              words,
              grids.number(count["tasks"], 0),
              grids.number(count["examples"], 0),
              *(grids.number(metrics[f"{name}/{mean}"]) for mean in means),
          ]
      )
  header = ("evaluation", "", "tasks", "examples", "mean", "over tasks")
  note = f"Every task: {path / once.METRICS}"
  return grids.Grid("Evaluated", header, rows, words=2, note=note)
