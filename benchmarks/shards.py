"""Shards of one store: workers, memory, the merge, and many shards.

  python -m benchmarks.shards
  python -m benchmarks.shards --rows=1000000 --folder=DIR
  python -m benchmarks.shards --rows=200000 --many=1000
  python -m benchmarks.shards --rows=2000 --draw=10000000

Writes rows of 50 tasks as JSON lines (about 700 bytes each), and prepares them
with a byte-level BPE: by one worker and by two, where each worker is a process
on one core of its own, as in a SLURM array with one CPU a task, so that the
tokenizer has one thread. A worker waits for the other's scan. Then the
shards are merged, and the store's files are copied for comparison, several times
by turns (--merges): both read files that are not in the page cache, and end when
the disk has what they write. --many prepares the rows by so many shards one after
another, in one process. --draw draws a corpus of so many rows, of which only the
notes of a scan are made.

Wall time and CPU time of workers are those of processes, starts included. On a
machine with other work only CPU seconds can be compared.
"""

import argparse
from collections.abc import Iterator
import dataclasses
import json
import os
import pathlib
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np
import rich.console
import rich.table

from benchmarks import peers
from zsgen.core import config as config_lib
from zsgen.data import plan, prepare, shards, sources
from zsgen.data.sources import (
    bad_rows,
    catalog,
    example_file,
    groups,
    items,
    parts,
)
from zsgen.data.tokenizers import bpe

_TASKS = 50
_VOCAB_SIZE = 8000
# Rows that the tokenizer is trained on.
_TRAINED = 5000
_MAX_INSTANCES = 10**9
# Rows of a work item of --draw.
_NOTED = 24_000
# Seconds that a worker waits for others.
_WAIT = 10_000.0


def generate(count: int) -> Iterator[dict[str, Any]]:
  """Yields rows of random words; the same for every call."""
  rng = random.Random(0)
  letters = "abcdefghijklmnopqrstuvwxyz"
  words = [
      "".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(5000)
  ]
  for i in range(count):
    yield {
        "task": f"task{i % _TASKS:02d}",
        "about": " ".join(words[i % 13 : i % 13 + 12]),
        "input": " ".join(rng.choices(words, k=rng.randint(10, 80))),
        "target": " ".join(rng.choices(words, k=rng.randint(1, 40))),
        "name": f"row-{i}",
    }


def write(folder: pathlib.Path, count: int) -> None:
  """Writes rows.jsonl, and a tokenizer that is trained on some of them."""
  texts = [[row["input"], row["target"]] for row in generate(_TRAINED)]
  bpe.write(bpe.train(texts, _VOCAB_SIZE), folder / "tokenizer")
  with open(folder / "rows.jsonl", "w") as file:
    file.writelines(json.dumps(row) + "\n" for row in generate(count))


def data_config(folder: pathlib.Path) -> config_lib.Data:
  """Returns the config of a table of which every row is taken."""
  data = {
      "source": "table",
      "path": str(folder / "rows.jsonl"),
      "fields": {"definition": "about", "key": "name"},
      "heldout": {"heldout": {"share": 0.2}},
      "train_instances": _MAX_INSTANCES,
      "heldout_instances": _MAX_INSTANCES,
      "tokenizer": "hf",
      "tokenizer_path": str(folder / "tokenizer"),
  }
  return config_lib.check({"data": data}).data


def work(folder: str, name: str, index: int, count: int) -> dict[str, Any]:
  """Prepares what is due of a shard; returns its rows and CPU seconds."""
  path = pathlib.Path(folder)
  shard, root = shards.Shard(index, count), path / name / "stores"
  progress = shards.prepare_shard(root, data_config(path), 0, shard, _WAIT)
  return {"rows": progress.rows, "cpu": time.process_time()}


def run_workers(folder: pathlib.Path, name: str, count: int) -> dict[str, Any]:
  """Runs all shards, each on a core of its own.

  Returns:
    `seconds`; `cpu`, the CPU seconds of all workers; `peak_mb`, the largest of
    any worker.
  """
  cores = sorted(os.sched_getaffinity(0))
  clock = time.perf_counter()
  started = [
      _start(folder, name, index, count, cores[index % len(cores)])
      for index in range(count)
  ]
  results = [json.loads(child.communicate()[0]) for child in started]
  return {
      "seconds": time.perf_counter() - clock,
      "cpu": sum(result["cpu"] for result in results),
      "peak_mb": max(result["peak_mb"] for result in results),
  }


def _start(
    folder: pathlib.Path, name: str, index: int, count: int, core: int
) -> subprocess.Popen:
  """Starts a worker that prints what it measured as JSON."""
  script = (
      "import json, os, sys; os.sched_setaffinity(0, [int(sys.argv[1])]);"
      "from benchmarks import peers, shards;"
      "result = shards.work(*sys.argv[2:4], *map(int, sys.argv[4:]));"
      "print(json.dumps({**result, 'peak_mb': peers.peak_mb()}))"
  )
  arguments = [core, folder, name, index, count]
  return subprocess.Popen(
      [sys.executable, "-c", script, *map(str, arguments)],
      stdout=subprocess.PIPE,
      text=True,
  )


def run_merge(folder: str, name: str) -> dict[str, Any]:
  """Merges links to the shards, so that the shards remain.

  Returns:
    `returned` and `seconds`, until the merge returns and until the disk has the
    store; `cpu`; bytes that are `read` and `written`; `rows`, `fingerprint`.
  """
  path = pathlib.Path(folder)
  root = path / "merged" / "stores"
  shutil.rmtree(root.parent, ignore_errors=True)
  shutil.copytree(path / name / "stores", root, copy_function=os.link)
  read = sum(chunk.stat().st_size for chunk in root.glob(".*/chunk-*"))
  _drop_cache(root)
  clock, cpu = time.perf_counter(), time.process_time()
  store = shards.merge(root, data_config(path), 0)
  returned = time.perf_counter() - clock
  os.sync()
  return {
      "returned": returned,
      "seconds": time.perf_counter() - clock,
      "cpu": time.process_time() - cpu,
      "read": read,
      "written": _bytes(root),
      "rows": len(store),
      "fingerprint": store.fingerprint,
  }


def run_copy(folder: str) -> dict[str, Any]:
  """Copies the store that was merged.

  Returns:
    `returned`, `seconds`, `cpu` and `written`, as `run_merge`.
  """
  root = pathlib.Path(folder) / "merged" / "stores"
  _drop_cache(root)
  clock, cpu = time.perf_counter(), time.process_time()
  shutil.copytree(root, root.with_name("copy"))
  returned = time.perf_counter() - clock
  os.sync()
  return {
      "returned": returned,
      "seconds": time.perf_counter() - clock,
      "cpu": time.process_time() - cpu,
      "written": _bytes(root),
  }


def _drop_cache(folder: pathlib.Path) -> None:
  """Drops the files below a directory from the page cache."""
  os.sync()
  for path in folder.rglob("*"):
    if path.is_file():
      with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure_merges(
    folder: str, name: str, count: int
) -> tuple[dict[str, Any], dict[str, Any]]:
  """Merges and copies by turns; returns the median of each, by seconds."""
  merged, copied = [], []
  for _ in range(count):
    merged.append(peers.measure(run_merge, folder, name))
    copied.append(peers.measure(run_copy, folder))
  return _median(merged), _median(copied)


def _median(results: list[dict[str, Any]]) -> dict[str, Any]:
  """Returns the result with the median of the seconds."""
  return sorted(results, key=lambda result: result["seconds"])[
      len(results) // 2
  ]


def run_whole(folder: str) -> dict[str, Any]:
  """Prepares the store in one process, with all cores."""
  path = pathlib.Path(folder)
  clock, cpu = time.perf_counter(), time.process_time()
  store = prepare.prepare(path / "whole" / "stores", data_config(path), 0)
  return {
      "seconds": time.perf_counter() - clock,
      "cpu": time.process_time() - cpu,
      "fingerprint": store.fingerprint,
  }


def run_many(folder: str, name: str, count: int) -> dict[str, Any]:
  """Runs both rounds of many shards, one after another."""
  path = pathlib.Path(folder)
  root, data = path / name / "stores", data_config(path)
  files = resource.getrlimit(resource.RLIMIT_NOFILE)
  resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, files[1]), files[1]))
  clock = time.perf_counter()
  for _ in ("scan", "encode"):
    for index in range(count):
      shards.prepare_shard(root, data, 0, shards.Shard(index, count))
  return {"seconds": time.perf_counter() - clock}


def run_draw(folder: str, count: int) -> dict[str, Any]:
  """Draws rows of which there are notes only; returns CPU seconds."""
  path = pathlib.Path(folder)
  data = dataclasses.replace(data_config(path), deduplicate=True)
  corpus = sources.open_source(data, 0, path)
  assert isinstance(corpus, catalog.Corpus), "a table is one"
  with tempfile.TemporaryDirectory(dir=folder) as notes:
    scanned = _write_notes(pathlib.Path(notes), count)
    cpu = time.process_time()
    rows = plan.build(catalog.draw(corpus, scanned))
  return {"cpu": time.process_time() - cpu, "chunks": len(rows)}


def _write_notes(folder: pathlib.Path, count: int) -> list[parts.Part]:
  """Writes notes on rows as scans of work items do, and maps them."""
  rng, scanned = np.random.default_rng(0), []
  labels = {(f"task{task:02d}", ""): "" for task in range(_TASKS)}
  for first in range(0, count, _NOTED):
    size = min(_NOTED, count - first)
    rows = np.zeros(size, groups.ROW)
    rows["group"] = np.arange(first, first + size) % _TASKS
    for name in ("key", "input", "prompt", "whole"):
      rows[name] = rng.integers(1, 2**63, size)
    path = folder / f"{first}.npy"
    np.save(path, rows)
    part = parts.Part(
        [(items.Item(0), size)],
        np.load(path, mmap_mode="r"),
        labels,
        bad_rows.BadRows(),
        {},
        example_file.Batches(None, [0, size], [0], [()]),
    )
    scanned.append(part)
  return scanned


def _bytes(folder: pathlib.Path) -> int:
  """Returns the size of all files below a directory."""
  return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def worker_table(
    rows: int, measured: dict[int, dict[str, Any]]
) -> rich.table.Table:
  """Returns seconds, rates and memory by the number of workers.

  The factor is the wall time of the first number of workers by that of another.
  """
  first = next(iter(measured.values()))["seconds"]
  grid = rich.table.Table(title="Workers with one core each")
  for column in (
      *("workers", "seconds", "factor", "rows/s"),
      *("CPU s", "rows/CPU s", "peak GB"),
  ):
    grid.add_column(column, justify="right")
  for count, result in measured.items():
    grid.add_row(
        str(count),
        f"{result['seconds']:.1f}",
        f"{first / result['seconds']:.2f}",
        f"{rows / result['seconds']:,.0f}",
        f"{result['cpu']:.1f}",
        f"{rows / result['cpu']:,.0f}",
        f"{result['peak_mb'] / 1024:.2f}",
    )
  return grid


def merge_table(
    merged: dict[str, Any], copied: dict[str, Any]
) -> rich.table.Table:
  """Returns a merge next to a copy of its result.

  The rate is of what is written, until the disk has it; the ratio is that of
  both rates.
  """
  grid = rich.table.Table(
      title=f"Merge of {merged['rows']:,} rows: {merged['read'] / 1e6:,.0f} MB"
      f" read, {merged['written'] / 1e6:,.0f} MB written"
  )
  for column in (
      *("", "returns s", "on disk s", "MB/s", "ratio", "CPU s", "peak GB"),
  ):
    grid.add_column(column, justify="right")
  for name, result in (("merge", merged), ("copy", copied)):
    rate = result["written"] / result["seconds"]
    grid.add_row(
        name,
        f"{result['returned']:.2f}",
        f"{result['seconds']:.2f}",
        f"{rate / 1e6:,.0f}",
        f"{rate * copied['seconds'] / copied['written']:.2f}",
        f"{result['cpu']:.2f}",
        f"{result['peak_mb'] / 1024:.2f}",
    )
  return grid


def compare(folder: pathlib.Path, options: argparse.Namespace) -> Iterator[Any]:
  """Measures what the flags name; yields what is to be printed."""
  path, fingerprints = str(folder), {}
  workers = {}
  for count in options.workers:
    workers[count] = run_workers(folder, f"{count}", count)
    merged, copied = measure_merges(path, f"{count}", options.merges)
    fingerprints[f"{count} workers"] = merged["fingerprint"]
    yield merge_table(merged, copied)
  yield worker_table(options.rows, workers)
  if options.whole:
    single = peers.measure(run_whole, path)
    fingerprints["one process"] = single["fingerprint"]
    yield (
        f"one process, all cores: {single['seconds']:.1f} s, {single['cpu']:.1f}"
        f" CPU s, peak {single['peak_mb'] / 1024:.2f} GB"
    )
  if options.many:
    sequence = peers.measure(run_many, path, "many", options.many)
    merged = peers.measure(run_merge, path, "many")
    fingerprints[f"{options.many:,} shards"] = merged["fingerprint"]
    yield (
        f"{options.many:,} shards one after another: {sequence['seconds']:.1f} s,"
        f" peak {sequence['peak_mb'] / 1024:.2f} GB; merge"
        f" {merged['seconds']:.1f} s"
    )
  if options.draw:
    drawn = peers.measure(run_draw, path, options.draw)
    yield (
        f"draw of {options.draw:,} rows: {drawn['cpu']:.1f} CPU s, peak"
        f" {drawn['peak_mb'] / 1024:.2f} GB"
    )
  for name, fingerprint in fingerprints.items():
    yield f"{name}: {fingerprint[:16]}"
  assert len({*fingerprints.values()}) == 1, "the stores differ"


def main() -> None:
  """Measures what the flags name."""
  parser = argparse.ArgumentParser(
      "python -m benchmarks.shards",
      description=__doc__,
      formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  parser.add_argument("--rows", type=int, default=200_000)
  parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
  parser.add_argument("--merges", type=int, default=5)
  parser.add_argument("--many", type=int, default=0)
  parser.add_argument("--draw", type=int, default=0)
  parser.add_argument("--whole", action="store_true")
  parser.add_argument("--folder", help="for all files; a new one by default")
  options = parser.parse_args()
  console = rich.console.Console(width=80)
  with tempfile.TemporaryDirectory(dir=options.folder) as name:
    write(pathlib.Path(name), options.rows)
    for result in compare(pathlib.Path(name), options):
      console.print(result)


if __name__ == "__main__":
  main()
