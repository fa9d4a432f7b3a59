"""Tables of every format, and the suite that the source `table` makes."""

import csv
import gzip
import json
import pathlib
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from zsgen.core import config
from zsgen.data import sources, suite

FIELDS = config.Fields(
    definition="about", category="kind", split="part", key="name"
)
NAMES = {"category": "kind", "key": "name"}
PLAIN = {"heldout": config.Heldout(tasks=("b",))}


def rows(count: int = 6) -> list[dict[str, str]]:
  """Returns rows of three tasks; those of `b` are of the split `test`."""
  return [
      {
          "task": "abc"[i % 3],
          "input": f'say "{i}",\n\ttwice é',
          "target": f"{i} {i}",
          "about": "Say it twice.",
          "kind": "odd" if i % 3 else "even",
          "part": "test" if i % 3 == 1 else "train",
          "name": f"row-{i}",
          "unread": "x",
      }
      for i in range(count)
  ]


def _json(rows: list[dict[str, Any]]) -> bytes:
  return json.dumps(rows, ensure_ascii=False, indent=1).encode()


def _jsonl(rows: list[dict[str, Any]]) -> bytes:
  lines = (json.dumps(row, ensure_ascii=False) for row in rows)
  return b"\xef\xbb\xbf" + "\n\n".join(lines).encode()


def _separated(
    path: pathlib.Path, rows: list[dict[str, Any]], **kwargs: Any
) -> None:
  with open(path, "w", newline="", encoding="utf-8") as file:
    writer = csv.DictWriter(file, rows[0], **kwargs)
    writer.writeheader()
    writer.writerows(rows)


def write(path: pathlib.Path, rows: list[dict[str, Any]]) -> None:
  """Writes rows in the format that the file's name asks for."""
  packed = path.suffix in (".gz", ".zst")
  plain = path.with_suffix("") if packed else path
  match plain.suffix:
    case ".json":
      plain.write_bytes(_json(rows))
    case ".jsonl" | ".ndjson":
      plain.write_bytes(_jsonl(rows))
    case ".csv":
      _separated(plain, rows)
    case ".tsv":
      _separated(plain, rows, delimiter="\t")
    case ".parquet":
      pq.write_table(pa.Table.from_pylist(rows), plain, row_group_size=2)
    case ".arrow":
      table = pa.Table.from_pylist(rows)
      with pa.ipc.new_stream(plain, table.schema) as stream:
        stream.write_table(table, max_chunksize=2)
  if path.suffix == ".gz":
    # Two members, as `cat a.gz b.gz` makes them.
    content = plain.read_bytes()
    path.write_bytes(gzip.compress(content[:50]) + gzip.compress(content[50:]))
  if path.suffix == ".zst":
    with pa.output_stream(str(path), compression="zstd") as stream:
      stream.write(plain.read_bytes())
  if packed:
    plain.unlink()


def load(
    path: pathlib.Path,
    fields: config.Fields = FIELDS,
    seed: int = 0,
    **options: Any,
) -> suite.Suite:
  """Returns the suite of a path."""
  options = {"draw": "first", "heldout_instances": 100} | options
  data = config.build(
      config.Data, source="table", path=str(path), fields=fields, **options
  )
  return sources.load(data, seed, path.parent / "scratch")


def examples(*args: Any, **kwargs: Any) -> list[suite.Example]:
  """Returns the examples of the suite of a path; see `load`."""
  return list(load(*args, **kwargs).examples())
