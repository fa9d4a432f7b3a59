"""The numbers of a comparison as Arrow tables, and as files to download."""

import pathlib
from typing import Any

import pyarrow as pa
from pyarrow import csv
import pyarrow.parquet as pq

from zsgen.core import artifacts
from zsgen.reports import comparison as comparison_lib
from zsgen.reports import curves

_DIFFERENCES = pa.schema(
    {
        "label": pa.string(),
        "seed": pa.int64(),
        "evaluation": pa.string(),
        "metric": pa.string(),
        "unit": pa.string(),
        "step": pa.int64(),
        "value": pa.float64(),
        "reference_value": pa.float64(),
        "difference": pa.float64(),
    }
)
_CURVES = pa.schema(
    {
        "label": pa.string(),
        "seed": pa.int64(),
        "run": pa.string(),
        "metric": pa.string(),
        "step": pa.int64(),
        "value": pa.float64(),
    }
)


def differences(comparison: comparison_lib.Comparison) -> pa.Table:
  """Returns paired differences to the reference, step by step.

  Returns:
    The table that `zsgen.compare` describes.
  """
  parts = [_DIFFERENCES.empty_table()]
  for label in comparison.runs:
    if label == comparison.reference:
      continue
    for name, metric in comparison.evals.items():
      for seed, pair in comparison.pairs(label, name).items():
        fields = {
            "label": label,
            "seed": seed,
            "evaluation": name,
            "metric": metric.name,
            "unit": metric.unit,
        }
        columns = {
            "step": pair.curve.steps,
            "value": pair.curve.values,
            "reference_value": pair.reference_curve.values,
            "difference": pair.differences.values,
        }
        parts.append(_table(_DIFFERENCES, fields, columns))
  notes = "\n".join(comparison.notes())
  return (
      pa.concat_tables(parts)
      .combine_chunks()
      .replace_schema_metadata(
          {"reference": comparison.reference, "notes": notes}
      )
  )


def all_curves(comparison: comparison_lib.Comparison) -> pa.Table:
  """Returns all metrics of all runs against step, but for those of tasks.

  Returns:
    `label`, `seed`, `run` (the name of its directory), `metric`, such as
    "heldout/loss", `step` and `value`.
  """
  parts = [_CURVES.empty_table()]
  for label, by_seed in comparison.runs.items():
    for seed, run in by_seed.items():
      parts += [
          _curve_table(label, seed, run, metric, curve)
          for metric, curve in run.metrics.items()
          if metric.count("/") == 1
      ]
  return pa.concat_tables(parts).combine_chunks()


def _curve_table(
    label: str,
    seed: int,
    run: curves.RunRecords,
    metric: str,
    curve: curves.Curve,
) -> pa.Table:
  """Returns the rows of one curve."""
  fields = {
      "label": label,
      "seed": seed,
      "run": run.path.name,
      "metric": metric,
  }
  columns = {"step": curve.steps, "value": curve.values}
  return _table(_CURVES, fields, columns)


def _table(
    schema: pa.Schema, fields: dict[str, Any], columns: dict[str, Any]
) -> pa.Table:
  """Returns a table whose `fields` have one value in all rows."""
  count = len(next(iter(columns.values())))
  repeated = {name: [value] * count for name, value in fields.items()}
  return pa.table({**repeated, **columns}, schema=schema)


def write(table: pa.Table, stem: pathlib.Path) -> list[str]:
  """Writes a table as STEM.csv and STEM.parquet; returns the files' names."""
  for suffix, save in ((".csv", csv.write_csv), (".parquet", pq.write_table)):
    sink = pa.BufferOutputStream()
    save(table, sink)
    path = stem.with_name(f"{stem.name}{suffix}")
    artifacts.write_bytes(path, sink.getvalue().to_pybytes())
  return [f"{stem.name}{suffix}" for suffix in (".csv", ".parquet")]
