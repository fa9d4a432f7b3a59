"""Reads tables of every format, next to Arrow's own readers.

  python -m benchmarks.ingestion
  python -m benchmarks.ingestion --rows=1000000 --formats jsonl parquet

Writes the same rows in every format, then measures, each in a process of its
own:

  scan     every row is read, checked and grouped by task (`sources.load`)
  draw     every example is read back in the sequence of the store
  prepare  the whole stage, with a byte tokenizer
  arrow    pyarrow reads the file into a table; nothing is checked

CPU seconds are measured too: on a machine with other work they can be compared.
To compare two versions of the code, run the same command in both checkouts.
"""

import argparse
import csv
import functools
import json
import pathlib
import random
import tempfile
import time
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq
import rich.console
import rich.table

from benchmarks import peers
from zsgen.core import config as config_lib
from zsgen.data import prepare, sources

FORMATS = ("jsonl", "json", "csv", "parquet")
_TASKS = 50
# Arrow has no reader of JSON arrays.
_ARROW = {
    ".jsonl": pyarrow.json.read_json,
    ".csv": pyarrow.csv.read_csv,
    ".parquet": pq.read_table,
}
# More than any task has.
_MAX_INSTANCES = 10**7


def write(folder: pathlib.Path, count: int, formats: list[str]) -> None:
  """Writes `rows.FORMAT` for each format, with the same `count` rows."""
  rng = random.Random(0)
  letters = "abcdefghijklmnopqrstuvwxyz"
  words = [
      "".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(5000)
  ]
  rows = [
      {
          "task": f"task{i % _TASKS:02d}",
          "about": " ".join(rng.choices(words, k=12)),
          "input": " ".join(rng.choices(words, k=rng.randint(10, 80))),
          "target": " ".join(rng.choices(words, k=rng.randint(1, 40))),
          "name": f"row-{i}",
          "unread": i,
      }
      for i in range(count)
  ]
  for name in formats:
    path = folder / f"rows.{name}"
    match name:
      case "jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
      case "json":
        path.write_text(json.dumps(rows))
      case "csv":
        with open(path, "w", newline="", encoding="utf-8") as file:
          writer = csv.DictWriter(file, rows[0])
          writer.writeheader()
          writer.writerows(rows)
      case "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)


def data_config(path: pathlib.Path) -> config_lib.Data:
  """Returns the config of a table of which every row is taken."""
  data = {
      "source": "table",
      "path": str(path),
      "fields": {"definition": "about", "key": "name"},
      "heldout": {"heldout": {"share": 0.2}},
      "train_instances": _MAX_INSTANCES,
      "heldout_instances": _MAX_INSTANCES,
      "tokenizer": "bytes",
  }
  return config_lib.check({"data": data}).data


def measure(path: pathlib.Path) -> dict[str, Any]:
  """Measures the stages on one file; seconds and CPU seconds of each."""
  data, measured = data_config(path), {}
  with tempfile.TemporaryDirectory(dir=path.parent) as name:
    folder = pathlib.Path(name)
    suite = _timed(
        measured, "scan", lambda: sources.load(data, 0, folder / "scratch")
    )
    examples = suite.examples()
    measured["count"] = _timed(
        measured, "draw", lambda: sum(1 for _ in examples)
    )
    store = _timed(
        measured, "prepare", lambda: prepare.prepare(folder / "stores", data, 0)
    )
    measured["fingerprint"] = store.fingerprint[:12]
  if read := _ARROW.get(path.suffix):
    _timed(measured, "arrow", functools.partial(read, path))
  return measured


def _timed(measured: dict[str, Any], name: str, run: Any) -> Any:
  """Runs a function; notes its seconds and CPU seconds under a name."""
  clock, cpu = time.perf_counter(), time.process_time()
  result = run()
  measured[name] = time.perf_counter() - clock, time.process_time() - cpu
  return result


def table(measured: dict[str, dict[str, Any]]) -> rich.table.Table:
  """Returns CPU seconds of each stage, and rows a CPU second of prepare."""
  grid = rich.table.Table(title="CPU seconds")
  stages = ("scan", "draw", "prepare", "arrow")
  for column in ("format", *stages, "rows/CPU s", "peak GB", "store"):
    grid.add_column(column, justify="left" if column == "format" else "right")
  for name, result in measured.items():
    grid.add_row(
        name,
        *(
            f"{result[stage][1]:.2f}" if stage in result else "-"
            for stage in stages
        ),
        f"{result['count'] / result['prepare'][1]:,.0f}",
        f"{result['peak_mb'] / 1024:.2f}",
        result["fingerprint"],
    )
  return grid


def main() -> None:
  """Measures the formats that the flags name."""
  parser = argparse.ArgumentParser(
      "python -m benchmarks.ingestion",
      description=__doc__,
      formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  parser.add_argument("--rows", type=int, default=200_000)
  parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS)
  options = parser.parse_args()
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    write(folder, options.rows, options.formats)
    measured = {
        kind: peers.measure(measure, folder / f"rows.{kind}")
        for kind in options.formats
    }
  rich.console.Console(width=80).print(table(measured))


if __name__ == "__main__":
  main()
