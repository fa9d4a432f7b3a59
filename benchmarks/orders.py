"""TMT against the released algorithm, a bare product and faiss.

  python -m benchmarks.orders                     # 1.2M x 1,125 x 384
  python -m benchmarks.orders --table             # how time and memory grow
  python -m benchmarks.orders --complete          # every round of 100k x 1k
  python -m benchmarks.orders --large --folder=DIR    # 10M x 1,000, 15.4 GB

Vectors are random unit vectors of 384 dimensions around 1,600 centres; held-out
vectors are around 225 centres close to some of those, because unseen tasks have
similar training tasks. Each peer runs in a separate process on the same file
and reports seconds and peak memory, in total and without the pages of the
mapped file; ratios are relative to the bare product, and peers alternate
--repeat times, of which the fastest run counts. `released` reimplements the
algorithm of the paper's code (spec 2.7): the whole matrix, a copy of it for
each selection, and an argmin over all of it in every round. It must give the
same ids. faiss (pip install faiss-cpu) only does the nearest-neighbour part.
"""

import argparse
import hashlib
import json
import os
import pathlib
import sys
import tempfile
import threading
import time
from typing import Any

import numpy as np
import rich.console
import rich.table

from benchmarks import peers as peers_lib
from zsgen.orders import embeddings, grid, similarity, turns
from zsgen.orders import pool as pool_lib
from zsgen.orders.arrangements import released, tmt

DIM = 384
_CENTRES, _TARGETS = 1600, 225
_CHUNK = 65536


def draw(folder: pathlib.Path, size: int, heldout: int) -> None:
  """Writes train.npy [size, 384] and heldout.npy, on the grid."""
  rng = np.random.default_rng(0)
  centres = _unit(rng.standard_normal((_CENTRES, DIM), np.float32))
  train = np.lib.format.open_memmap(
      folder / "train.npy", "w+", np.float32, (size, DIM)
  )
  for start in range(0, size, _CHUNK):
    part = slice(start, min(start + _CHUNK, size))
    # Task by task, as in a store.
    indices = np.arange(part.start, part.stop) * _CENTRES // size
    train[part] = _draw_around(rng, centres[indices])
  train.flush()
  siblings = _draw_around(rng, centres[:: _CENTRES // _TARGETS][:_TARGETS])
  indices = np.arange(heldout) * len(siblings) // heldout
  np.save(folder / "heldout.npy", _draw_around(rng, siblings[indices]))


def _draw_around(rng: np.random.Generator, centres: np.ndarray) -> np.ndarray:
  noise = rng.standard_normal(centres.shape, np.float32) / np.sqrt(DIM)
  return grid.snap(_unit(centres + 1.2 * noise))


def _unit(vectors: np.ndarray) -> np.ndarray:
  return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def zsgen_both(train: np.ndarray, heldout: np.ndarray, budget: int) -> Any:
  """Picks half of the budget near and half far: the released setting NFT."""
  pool = _pool(train, heldout)
  options = released.Options(budget=budget, setting="NFT")
  return released.released(pool, options, seed=0).rows


def zsgen_near(train: np.ndarray, heldout: np.ndarray, budget: int) -> Any:
  """Picks rounds of nearest rows only."""
  pool = _pool(train, heldout)
  walk = turns.rounds(*pool.embedded(), ("nearest",), budget)[0]
  return tmt.take(walk, "nearest", budget, keep_last_round=True).rows


def _pool(train: np.ndarray, heldout: np.ndarray) -> pool_lib.Pool:
  """Returns a pool of one task of the given vectors."""
  return pool_lib.Pool(
      np.zeros(len(train), np.int32),
      train=embeddings.Embeddings(train),
      heldout=embeddings.Embeddings(heldout),
  )


def released_both(train: np.ndarray, heldout: np.ndarray, budget: int) -> Any:
  """Computes the same ids like the released code."""
  distance = -(train @ heldout.T)
  nearest = _select(
      distance, budget - budget // 2, np.argmin, distance.max() + 1
  )
  farthest = _select(distance, budget // 2, np.argmax, distance.min() - 1)
  return np.array(list(dict.fromkeys(nearest + farthest[::-1])))


def _select(distance: np.ndarray, count: int, pick: Any, fill: Any) -> list:
  """Returns rounds until there are `count` rows; the last round stays complete."""
  distance = distance.copy()
  selected = []
  while len(selected) < count:
    rows = np.unique(pick(distance, axis=0))
    selected += rows.tolist()
    distance[rows] = fill
  return selected


def product(train: np.ndarray, heldout: np.ndarray, budget: int) -> Any:
  """Computes E F^T in the project's blocks, and discards it."""
  del budget
  size = similarity.block_size(len(heldout), DIM)
  out = np.empty((len(heldout), size), np.float32)
  for start in range(0, len(train), size):
    block = train[start : start + size]
    np.matmul(heldout, block.T, out=out[:, : len(block)])


def faiss_flat(train: np.ndarray, heldout: np.ndarray, budget: int) -> Any:
  """Returns the 512 nearest rows of each held-out vector, from a flat index."""
  del budget
  import faiss

  index = faiss.IndexFlatIP(DIM)
  index.add(train)
  return index.search(heldout, min(512, len(train)))[1]


PEERS = {
    "zsgen": zsgen_both,
    "zsgen, near half": zsgen_near,
    "product": product,
    "faiss": faiss_flat,
    "released": released_both,
}


def _timed(name: str, folder: pathlib.Path, budget: int) -> dict[str, Any]:
  """Returns the seconds of a peer and the hash of its ids."""
  train = np.load(folder / "train.npy", mmap_mode="r")
  heldout = np.load(folder / "heldout.npy")
  train[::256].sum()  # Reads the file into memory before the clock starts.
  with _Memory() as memory:
    begin, cpu = time.perf_counter(), time.process_time()
    ids = PEERS[name](train, heldout, budget)
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
  digest = None
  if name in ("zsgen", "released"):
    digest = hashlib.sha256(np.asarray(ids, np.int64).tobytes()).hexdigest()
  return {
      "seconds": seconds,
      "cpu": cpu,
      "anonymous_mb": memory.peak_mb,
      "ids": digest,
  }


class _Memory:
  """Samples the memory of this process that is not a mapped file.

  Attributes:
    peak_mb: its largest size so far.
  """

  def __init__(self):
    self.peak_mb = 0.0
    self._is_over = threading.Event()
    self._thread = threading.Thread(target=self._sample)

  def __enter__(self) -> "_Memory":
    self._thread.start()
    return self

  def __exit__(self, *exception: object) -> None:
    self._is_over.set()
    self._thread.join()

  def _sample(self) -> None:
    """Records the peak of anonymous memory, every 0.1 seconds."""
    status = pathlib.Path("/proc/self/status")
    while True:
      (line,) = [
          line
          for line in status.read_text().splitlines()
          if line.startswith("RssAnon:")
      ]
      self.peak_mb = max(self.peak_mb, int(line.split()[1]) / 1024)
      if self._is_over.wait(0.1):
        return


def compare(
    size: int,
    heldout: int,
    budget: int,
    peers: list[str],
    repeat: int = 1,
    parent: str | None = None,
) -> dict:
  """Returns each peer's fastest run on one problem, in a temporary folder."""
  with tempfile.TemporaryDirectory(dir=parent) as name:
    folder = pathlib.Path(name)
    draw(folder, size, heldout)
    best: dict[str, dict] = {}
    for peer in peers * repeat:
      if "failed" in best.get(peer, {}):
        continue
      result = peers_lib.measure(_timed, peer, folder, budget)
      load = round(os.getloadavg()[0], 1)
      print(json.dumps({"peer": peer, "load": load, **result}), file=sys.stderr)
      if result.get("seconds", 0) <= best.get(peer, result).get("seconds", 0):
        best[peer] = result
  return {peer: best[peer] for peer in peers}


def table(results: dict[str, dict], title: str) -> rich.table.Table:
  """Returns a table of seconds, ratios to the product and peak memory."""
  grid_ = rich.table.Table(title=title)
  for column in (
      "peer",
      "seconds",
      "of the product",
      "CPU seconds",
      "peak GB",
      "beside the map",
  ):
    grid_.add_column(column, justify="left" if column == "peer" else "right")
  base = results["product"]["seconds"]
  for peer, result in results.items():
    if "failed" in result:
      grid_.add_row(peer, result["failed"], *[""] * 4)
      continue
    grid_.add_row(
        peer,
        f"{result['seconds']:.2f}",
        f"{result['seconds'] / base:.2f}",
        f"{result['cpu']:.1f}",
        f"{result['peak_mb'] / 1024:.2f}",
        f"{result['anonymous_mb'] / 1024:.2f}",
    )
  return grid_


def headline(console: rich.console.Console, options: Any) -> None:
  """Measures every peer on one problem."""
  size, heldout, budget = options.size, options.heldout, options.budget
  results = compare(size, heldout, budget, options.peers, options.repeat)
  console.print(table(results, f"{size:,} x {heldout:,}, {budget:,} chosen"))
  if results.get("released", {}).get("ids"):
    ratio = results["released"]["seconds"] / results["zsgen"]["seconds"]
    is_same = results["released"]["ids"] == results["zsgen"]["ids"]
    console.print(f"released / zsgen: {ratio:.1f}; same ids: {is_same}")


def growth(console: rich.console.Console) -> None:
  """Measures zsgen and the product at nine sizes."""
  grid_ = rich.table.Table(title="3% of the pool chosen, half near, half far")
  for column in ("N", "M", "seconds", "of the product", "peak GB"):
    grid_.add_column(column, justify="right")
  for size in (10_000, 100_000, 1_000_000):
    for heldout in (100, 1_000, 10_000):
      results = compare(size, heldout, 3 * size // 100, ["product", "zsgen"])
      result, base = results["zsgen"], results["product"]["seconds"]
      grid_.add_row(
          f"{size:,}",
          f"{heldout:,}",
          f"{result['seconds']:.2f}",
          f"{result['seconds'] / base:.2f}",
          f"{result['peak_mb'] / 1024:.2f}",
      )
  console.print(grid_)


def complete(console: rich.console.Console) -> None:
  """Measures every round of 100k x 1k until the pool is empty."""
  results = compare(100_000, 1_000, 100_000, ["product", "zsgen, near half"])
  console.print(table(results, "100,000 x 1,000, every round"))


def large(console: rich.console.Console, parent: str | None) -> None:
  """Measures a pool of 15.4 GB; writes it to a folder in `parent` first."""
  peers = ["product", "zsgen, near half"]
  results = compare(10_000_000, 1_000, 30_000, peers, parent=parent)
  console.print(table(results, "10,000,000 x 1,000, 30,000 near"))


def main() -> None:
  """Runs the benchmark of the flags and prints its table."""
  parser = argparse.ArgumentParser(
      "python -m benchmarks.orders", description=__doc__
  )
  parser.add_argument("--size", type=int, default=1_200_000)
  parser.add_argument("--heldout", type=int, default=1_125)
  parser.add_argument("--budget", type=int, default=30_000)
  parser.add_argument("--repeat", type=int, default=1)
  parser.add_argument(
      "--peers", nargs="+", choices=list(PEERS), default=list(PEERS)
  )
  parser.add_argument("--large", action="store_true")
  parser.add_argument("--folder", help="of the files of --large")
  parser.add_argument("--table", action="store_true")
  parser.add_argument("--complete", action="store_true")
  options = parser.parse_args()
  console = rich.console.Console(width=80)
  if options.table:
    growth(console)
  elif options.large:
    large(console, options.folder)
  elif options.complete:
    complete(console)
  else:
    headline(console, options)


if __name__ == "__main__":
  main()
