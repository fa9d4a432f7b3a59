"""What the training loop itself costs the host, by part, and a second start.

  python -m benchmarks.loop
  python -m benchmarks.loop --start      # the demo's first step, cold and warm

A step takes 16 drawn examples of about 290 tokens, in rows of 1,024, from a
store on disk, and is logged to files, TensorBoard and a progress line that is
drawn. The device program is a small model: only the time of the host counts,
milliseconds of the loop's thread on its core, which other processes do not
change. The device works while the host does all of it.
"""

import argparse
from collections.abc import Callable
import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
from typing import Any

import jax
import numpy as np
import rich.console
import rich.table

from zsgen.core import config as config_lib
from zsgen.core import mesh as mesh_lib
from zsgen.data import store as store_lib
from zsgen.train import (
    batches,
    loop,
    memory,
    meter,
    optimizer,
    progress,
    records,
    writers,
)
from zsgen.train import program as program_lib
from zsgen.train import start as start_lib

_SHORTEST, _LONGEST, _ROW = 60, 520, 1024
_MODEL = {
    "init": "new",
    "layers": 1,
    "width": 32,
    "heads": 1,
    "kv_heads": 1,
    "head_width": 16,
    "mlp_width": 64,
}
_WAITING = "waiting for the device"
# What is timed: where it is, and what it is called.
_PARTS = (
    (batches, "look_up", "look up"),
    (batches, "lay_out", "lay out"),
    (optimizer, "hyper_at", "hyper-parameters"),
    (jax, "device_get", _WAITING),
    (meter.Meter, "step", "clocks and FLOPs"),
    (memory, "used", "memory"),
    (records.Records, "consumed", "records"),
    (records.Records, "metrics", "records"),
    (records.Records, "perf", "records"),
    (writers.TensorBoard, "write", "TensorBoard"),
    (progress.Progress, "show", "progress line"),
)


class Spent:
  """Seconds by part between two marks; nothing counts outside of them."""

  def __init__(self) -> None:
    self.parts: dict[str, float] = {}
    self.total = self.wall = 0.0
    self._begin: tuple[float, float] | None = None

  def begin(self) -> None:
    """From here on seconds count."""
    self._begin = time.thread_time(), time.perf_counter()

  def end(self) -> None:
    """From here on they do not."""
    thread, wall = self._begin
    self.total = time.thread_time() - thread
    self.wall = time.perf_counter() - wall
    self._begin = None

  def timed(self, part: str, function: Callable[..., Any]) -> Callable:
    """The function, put down to a part."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
      begin = time.thread_time()
      result = function(*args, **kwargs)
      if self._begin:
        took = time.thread_time() - begin
        self.parts[part] = self.parts.get(part, 0.0) + took
      return result

    return call


class Timed:
  """A device program whose dispatch is timed.

  Args:
    step: the program.
    spent: begins before call number `first`, ends before `beyond`.
    first: as said.
    beyond: as said.
  """

  def __init__(self, step: Any, spent: Spent, first: int, beyond: int):
    self.lower = step.lower
    self._call = spent.timed("dispatch", step)
    self._marks = {first: spent.begin, beyond: spent.end}
    self._count = 0

  def __call__(self, *args: Any) -> Any:
    if self._count in self._marks:
      self._marks[self._count]()
    self._count += 1
    return self._call(*args)


class Drawn:
  """Rows of drawn tokens, in memory maps as those of a store."""

  def __init__(self, folder: pathlib.Path, count: int):
    rng = np.random.default_rng(0)
    self.lengths = rng.integers(_SHORTEST, _LONGEST + 1, count)
    self._offsets = np.concatenate([[0], np.cumsum(self.lengths)])
    total = self._offsets[-1]
    rng.integers(3, 259, total, np.uint32).tofile(folder / "tokens.bin")
    rng.integers(0, 2, total, np.uint8).tofile(folder / "mask.bin")
    maps = [("tokens.bin", np.uint32), ("mask.bin", np.uint8)]
    self._tokens, self._mask = (
        np.asarray(np.memmap(folder / name, dtype, "r")) for name, dtype in maps
    )

  def row(self, example: int) -> store_lib.TokenRow:
    """As `Store.row`."""
    begin, end = self._offsets[example], self._offsets[example + 1]
    return store_lib.TokenRow(self._tokens[begin:end], self._mask[begin:end])


def make_job(folder: pathlib.Path, steps: int) -> loop.Job:
  """A run without evaluations over a drawn store."""
  size = 16
  store = Drawn(folder, steps * size)
  ids = np.random.default_rng(1).permutation(steps * size)
  config = config_lib.check({"model": _MODEL, "machine": {"save_every": steps}})
  mesh = mesh_lib.make(config.machine.mesh, jax.devices()[:1])
  start = start_lib.of(config.model, config.seed)
  layouts = batches.plan(store.lengths[ids], _ROW, size, 1, 1)
  return loop.Job(
      path=folder,
      config=config,
      program=program_lib.make(config, start, mesh),
      feed=lambda _: batches.store_feed(store, ids, size),
      layouts=layouts,
      steps=steps,
      evaluators=[],
      start=start,
      identity="benchmark",
      say=print,
  )


class _changed:
  """Attributes that are others inside of `with`."""

  def __init__(self, changes: list[tuple[Any, str, Any]]):
    self._changes = changes

  def __enter__(self) -> None:
    self._before = [
        (owner, name, getattr(owner, name)) for owner, name, _ in self._changes
    ]
    for owner, name, value in self._changes:
      setattr(owner, name, value)

  def __exit__(self, *_: Any) -> None:
    for owner, name, value in self._before:
      setattr(owner, name, value)


def measure(steps: int, warm: int) -> rich.table.Table:
  """Milliseconds of the host a step, by part."""
  spent = Spent()
  changes = [
      (owner, name, spent.timed(part, getattr(owner, name)))
      for owner, name, part in _PARTS
  ]
  with tempfile.TemporaryDirectory() as name, _changed(changes):
    job = make_job(pathlib.Path(name), warm + steps + 1)
    step = Timed(job.program.step, spent, warm, warm + steps)
    loop.train(job._replace(program=job.program._replace(step=step)))
  grid = rich.table.Table(title=f"host, {steps} steps")
  grid.add_column("part")
  grid.add_column("ms a step", justify="right")
  waiting = spent.parts.pop(_WAITING)
  host = spent.total - waiting
  parts = {**spent.parts, "the rest": host - sum(spent.parts.values())}
  for part, seconds in parts.items():
    grid.add_row(part, f"{1000 * seconds / steps:.3f}")
  grid.add_row("all", f"{1000 * host / steps:.3f}")
  grid.add_row("in the wait for results", f"{1000 * waiting / steps:.3f}")
  grid.add_row("a step (wall)", f"{1000 * spent.wall / steps:.1f}")
  return grid


def first_step(workdir: pathlib.Path, root: pathlib.Path) -> dict[str, float]:
  """Seconds from a process's start to the demo's first logged step."""
  shutil.rmtree(workdir / "runs", ignore_errors=True)
  begin = time.perf_counter()
  command = [sys.executable, "-m", "zsgen.main", "--config=configs/tmt.py"]
  command += [f"--workdir={workdir}", "--stage=train"]
  process = subprocess.Popen(
      command,
      cwd=root,
      env={**os.environ, "PYTHONPATH": str(root)},
      stderr=subprocess.DEVNULL,
  )
  try:
    while process.poll() is None:
      found = _logged(workdir)
      if found:
        return {"first step": time.perf_counter() - begin, **found}
      time.sleep(0.01)
  finally:
    process.kill()
    process.wait()
  raise RuntimeError("the demo ended without a step")


def _logged(workdir: pathlib.Path) -> dict[str, float]:
  """Seconds that the first step compiled and ran; {} before it is logged."""
  for path in workdir.glob("runs/*/perf.jsonl"):
    for line in path.read_text().splitlines():
      record = json.loads(line)
      if "perf/step_seconds" in record:
        names = ("perf/compile_seconds", "perf/step_seconds")
        return {name: record[name] for name in names}
  return {}


def starts() -> rich.table.Table:
  """The demo, started with nothing there, and again without its run."""
  root = pathlib.Path(__file__).resolve().parents[1]
  grid = rich.table.Table(title="the demo, seconds")
  for column in ("start", "first step", "of it compiling", "the step"):
    grid.add_column(column, justify="right")
  with tempfile.TemporaryDirectory() as name:
    for start in ("first", "second", "third"):
      found = first_step(pathlib.Path(name), root)
      grid.add_row(start, *(f"{each:.2f}" for each in found.values()))
  return grid


def main() -> None:
  """Prints the table."""
  parser = argparse.ArgumentParser(
      "python -m benchmarks.loop", description=__doc__
  )
  parser.add_argument("--steps", type=int, default=100)
  parser.add_argument("--warm", type=int, default=10)
  parser.add_argument("--start", action="store_true")
  options = parser.parse_args()
  made = starts() if options.start else measure(options.steps, options.warm)
  rich.console.Console(width=80).print(made)


if __name__ == "__main__":
  main()
