"""Cold starts and batches with a store and an order of 10 million examples.

  python -m benchmarks.store                    # 10M examples, about 2 GB
  python -m benchmarks.store --examples=100000
  python -m benchmarks.store --longer=10        # 10 GB

Examples are random: 8 to 32 tokens (times --longer), 20 on average, half of
them loss tokens, in 1,000 training tasks and one held-out task of 1,000
examples. The order is a permutation of the training examples. Store and order
are written in the project's format to a directory that is deleted afterwards.

  cold    a new process opens both and lays out the batch in the middle of the
          order. Imports are not counted. `trusted` only maps ids.npy, without
          the checks of `Order.load`; `loaded` is what training does
  touch   one process, one thread: CPU time to look up the rows of a step when
          most of its blocks are read, and so checked, for the first time, and
          when the same steps are looked up again
  gather  one process, one thread: examples per second that are looked up and
          laid out in rows for training steps
"""

import argparse
import pathlib
import tempfile
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import rich.console
import rich.table

from benchmarks import peers as peers_lib
from zsgen.core import artifacts
from zsgen.data import judged, suite
from zsgen.data import store as store_lib
from zsgen.orders import order as order_lib
from zsgen.train import batches, layout_plan, layouts, population

_SHORTEST, _LONGEST = 8, 32
_VOCAB_SIZE = 8000
_TASKS, _HELDOUT = 1000, 1000
# Tokens of a row, as `layouts.largest` chooses for the longest example.
_ROW = 64
# Examples that are written at a time.
_PART = 1 << 20
# Examples per lap, and the number of laps, of which the fastest counts.
_LAP, _LAPS = 1 << 16, 5
# Steps whose rows are looked up twice.
_TOUCHED = 100


def write_store(path: pathlib.Path, count: int, longer: int) -> None:
  """Writes a store of `count` random examples, `longer` times as long."""
  rng = np.random.default_rng(0)
  lengths = longer * rng.integers(_SHORTEST, _LONGEST + 1, count)
  offsets = np.concatenate([[0], np.cumsum(lengths)])
  with artifacts.writing(path) as partial:
    np.save(partial / "offsets.npy", offsets)
    _write_tokens(partial, rng, lengths)
    pq.write_table(_tasks(count), partial / "tasks.parquet")
    _write_examples(partial, lengths)
    # There are no written answers.
    pq.write_table(judged.SCHEMA.empty_table(), partial / "heldout.parquet")
    fields = {
        "made_by": {},
        "suite": "drawn",
        "heldout": ["heldout"],
        "counts": {},
        "sources": [],
    }
    store_lib.seal(partial, fields)


def _parts(count: int) -> list[slice]:
  """Returns slices of the examples."""
  return [
      slice(first, min(first + _PART, count))
      for first in range(0, count, _PART)
  ]


def _write_tokens(
    path: pathlib.Path, rng: np.random.Generator, lengths: np.ndarray
) -> None:
  """Writes tokens.bin and mask.bin; the second half of an example has the loss."""
  with (
      open(path / "tokens.bin", "wb") as tokens,
      open(path / "mask.bin", "wb") as mask,
  ):
    for part in _parts(len(lengths)):
      part_lengths = lengths[part]
      total = part_lengths.sum()
      rng.integers(2, _VOCAB_SIZE, total, np.uint32).tofile(tokens)
      halves = np.stack(
          [part_lengths - part_lengths // 2, part_lengths // 2], 1
      ).ravel()
      loss = np.tile(np.array([0, 1], np.uint8), len(part_lengths))
      np.repeat(loss, halves).tofile(mask)


def _tasks(count: int) -> pa.Table:
  """Returns training tasks of about the same size, and a held-out one."""
  borders = np.linspace(0, count - _HELDOUT, _TASKS + 1).astype(np.int64)
  return pa.table(
      {
          "task": [*(f"task{i}" for i in range(_TASKS)), "heldout_task"],
          "category": [""] * (_TASKS + 1),
          "split": [*[suite.TRAIN] * _TASKS, "heldout"],
          "first": [*borders[:-1], count - _HELDOUT],
          "count": [*np.diff(borders), _HELDOUT],
      }
  )


def _write_examples(path: pathlib.Path, lengths: np.ndarray) -> None:
  """Writes the columns of examples.parquet that training reads."""
  schema = pa.schema({"id": pa.int64(), "loss_tokens": pa.int32()})
  with pq.ParquetWriter(path / "examples.parquet", schema) as table:
    for part in _parts(len(lengths)):
      ids = pa.array(np.arange(part.start, part.stop))
      loss = pa.array((lengths[part] // 2).astype(np.int32))
      table.write_table(pa.table({"id": ids, "loss_tokens": loss}))


def write_order(path: pathlib.Path, store: store_lib.Store) -> None:
  """Writes a permutation of the training examples as an order."""
  ids = np.random.default_rng(1).permutation(store.split_ids(suite.TRAIN))
  undefined = np.full(len(ids), np.nan, np.float32)
  names = pa.array(store.tasks).take(pa.array(store.task_index[ids]))
  table = pa.table(
      {
          "position": np.arange(len(ids)),
          "id": ids,
          "epoch": np.zeros(len(ids), np.int32),
          "task": names,
          "round": np.zeros(len(ids), np.int32),
          "distance": undefined,
          "similarity": undefined,
      }
  )
  with artifacts.writing(path) as partial:
    np.save(partial / order_lib.IDS, ids)
    pq.write_table(table, partial / order_lib.TABLE)
    files = {
        name: artifacts.file_digest(partial / name)
        for name in (order_lib.IDS, order_lib.TABLE)
    }
    manifest = {
        "kind": "order",
        "made_by": {"store": store.fingerprint},
        "store": "../store",
        "files": files,
        "count": len(ids),
        "statistics": {},
        "fingerprint": order_lib.fingerprint(ids, store.fingerprint),
    }
    artifacts.write_manifest(partial, manifest)


def cold(folder: pathlib.Path, size: int, loaded: bool) -> dict[str, float]:
  """Measures milliseconds from start to the batch in the middle of the order."""
  clock = [time.perf_counter()]
  store = store_lib.open_store(folder / "store")
  clock.append(time.perf_counter())
  if loaded:
    ids = order_lib.Order.load(folder / "order", store).ids
  else:
    ids = np.load(folder / "order" / order_lib.IDS, mmap_mode="r")
  clock.append(time.perf_counter())
  feed = batches.store_feed(store, ids, size)
  examples = feed(batches.steps_of(ids, size) // 2)
  length = max(int(store.lengths.max()), _ROW)
  shape = layouts.Shape(size, length, size * length)
  layouts.lay_out(examples, shape, layouts.Split())
  clock.append(time.perf_counter())
  milliseconds = 1000 * np.diff(clock)
  names = ("store", "order", "batch")
  return dict(zip(names, milliseconds.tolist(), strict=True)) | {
      "all": milliseconds.sum()
  }


def touch(folder: pathlib.Path, size: int) -> dict[str, float]:
  """Measures CPU milliseconds to look up a step's rows, the first and second
  time.
  """
  store = store_lib.open_store(folder / "store")
  ids = np.load(folder / "order" / order_lib.IDS, mmap_mode="r")
  feed = batches.store_feed(store, ids, size)
  steps = min(_TOUCHED, batches.steps_of(ids, size))
  milliseconds = {}
  for name in ("first", "again"):
    begin = time.thread_time()
    for step in range(steps):
      feed(step)
    milliseconds[name] = 1000 * (time.thread_time() - begin) / steps
  return milliseconds


def gather(folder: pathlib.Path, size: int) -> dict[str, float]:
  """Measures examples per second that are looked up and laid out."""
  store = store_lib.open_store(folder / "store")
  ids = np.load(folder / "order" / order_lib.IDS, mmap_mode="r")
  ids = ids[: _LAPS * _LAP]
  lengths = layouts.Lengths(store.lengths[ids], store.loss_lengths[ids])
  planned = layout_plan.plan([lengths], size, layouts.Split(), limit=2)
  feed = batches.store_feed(store, ids, size)
  steps = min(_LAP, len(ids) // _LAPS) // size
  seconds = []
  for lap in range(_LAPS):
    begin = time.perf_counter()
    for step in range(lap * steps, (lap + 1) * steps):
      population.lay_out([feed(step)], planned, step)
    seconds.append(time.perf_counter() - begin)
  return {"rate": steps * size / min(seconds)}


def starts(folder: pathlib.Path) -> rich.table.Table:
  """Measures cold starts, with and without the checks of an order."""
  grid = rich.table.Table(title="cold start, a batch of 16, milliseconds")
  for column in ("order", "open store", "order", "batch", "all", "peak GB"):
    grid.add_column(column, justify="right")
  for name, loaded in (("trusted", False), ("loaded", True)):
    result = peers_lib.measure(cold, folder, 16, loaded)
    cells = [f"{result[part]:,.1f}" for part in ("store", "order", "batch")]
    peak = f"{result['peak_mb'] / 1024:.2f}"
    grid.add_row(name, *cells, f"{result['all']:,.1f}", peak)
  return grid


def touches(folder: pathlib.Path) -> rich.table.Table:
  """Measures the cost of looking up a step's rows, by batch size."""
  grid = rich.table.Table(title="rows of a step, CPU milliseconds")
  for column in ("batch", "first", "again"):
    grid.add_column(column, justify="right")
  for size in (16, 64, 256):
    result = peers_lib.measure(touch, folder, size)
    cells = [f"{result[name]:.3f}" for name in ("first", "again")]
    grid.add_row(f"{size:,}", *cells)
  return grid


def rates(folder: pathlib.Path) -> rich.table.Table:
  """Measures examples per second, by batch size."""
  grid = rich.table.Table(title="looked up and laid out, one thread")
  for column in ("batch", "examples/s", "peak GB"):
    grid.add_column(column, justify="right")
  for size in (16, 64, 256, 1024):
    result = peers_lib.measure(gather, folder, size)
    peak = f"{result['peak_mb'] / 1024:.2f}"
    grid.add_row(f"{size:,}", f"{result['rate']:,.0f}", peak)
  return grid


def main() -> None:
  """Writes a store and an order, and prints all tables."""
  parser = argparse.ArgumentParser(
      "python -m benchmarks.store", description=__doc__
  )
  parser.add_argument("--examples", type=int, default=10_000_000)
  parser.add_argument("--longer", type=int, default=1)
  options = parser.parse_args()
  console = rich.console.Console(width=80)
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    write_store(folder / "store", options.examples, options.longer)
    write_order(folder / "order", store_lib.open_store(folder / "store"))
    console.print(starts(folder))
    console.print(touches(folder))
    console.print(rates(folder))


if __name__ == "__main__":
  main()
