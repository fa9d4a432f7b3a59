"""Host time of the training loop, by part, and of a second start.

  python -m benchmarks.loop
  python -m benchmarks.loop --start      # the demo's first step, cold and warm

A step uses 16 random examples of about 290 tokens, in rows of 1,024, from a
store on disk, and is logged to files, TensorBoard and a progress line. The
device program is a small model, because only host time counts: CPU milliseconds
of the loop's thread, which other processes hardly affect. The device works at
the same time. After the steps that are timed as a whole, as many are timed by
part, which takes longer.
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
    job,
    layouts,
    loop,
    memory,
    meter,
    optimizer,
    progress,
    records,
    writers,
)
from zsgen.train import program as program_lib
from zsgen.train import starts as starts_lib
from zsgen.train import step as step_lib

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
# The functions to time: owner, name and label.
_PARTS = (
    (batches, "look_up", "look up"),
    (layouts, "lay_out", "lay out"),
    (optimizer, "hyper_at", "hyper-parameters"),
    (step_lib, "fetch", _WAITING),
    (meter.Meter, "step", "clocks and FLOPs"),
    (memory, "used", "memory"),
    (records.Records, "consumed", "records"),
    (records.Records, "metrics", "records"),
    (records.Records, "perf", "records"),
    (writers.TensorBoard, "write", "TensorBoard"),
    (progress.Progress, "show", "progress line"),
)


class Clock:
  """Seconds of some steps as a whole, and of other steps by part."""

  def __init__(self) -> None:
    self.parts: dict[str, float] = {}
    self.total = self.wall = 0.0
    # What is counted now: only the wait for the device, or all other parts.
    self._is_whole = self._is_split = False

  def begin(self) -> None:
    """Starts counting the seconds of steps as a whole."""
    self._begin = time.thread_time(), time.perf_counter()
    self._is_whole = True

  def split(self) -> None:
    """Stops that, and starts counting the seconds of parts."""
    thread, wall = self._begin
    self.total = time.thread_time() - thread
    self.wall = time.perf_counter() - wall
    self._is_whole, self._is_split = False, True

  def end(self) -> None:
    """Stops counting seconds."""
    self._is_split = False

  def timed(self, part: str, function: Callable[..., Any]) -> Callable:
    """Wraps a function to count its time as a part."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
      """Calls the function and adds its time to the part's."""
      if not (self._is_whole if part == _WAITING else self._is_split):
        return function(*args, **kwargs)
      begin = time.thread_time()
      result = function(*args, **kwargs)
      seconds = time.thread_time() - begin
      self.parts[part] = self.parts.get(part, 0.0) + seconds
      return result

    return call


class Timed:
  """A device program whose dispatch is timed, for all of its shapes.

  Args:
    step: the program; after `trace` that of a shape, after `compile` a
      function.
    clock: counts seconds, of steps as a whole and then of their parts.
    first: the first step to count.
    steps: how many are counted as a whole, and how many by part.
    count: the steps so far, a list of one number that all shapes share.
  """

  def __init__(
      self,
      step: Any,
      clock: Clock,
      first: int,
      steps: int,
      count: list[int] | None = None,
  ):
    self._step = step
    self._clock = clock
    self._marks = first, steps
    self._count = [0] if count is None else count

  def trace(self, *args: Any) -> "Timed":
    """Traces the program for a shape."""
    return self._replaced(self._step.trace(*args))

  def lower(self) -> "Timed":
    """Lowers a program that is traced."""
    return self._replaced(self._step.lower())

  def compile(self) -> "Timed":
    """Compiles a program that is lowered."""
    return self._replaced(self._clock.timed("dispatch", self._step.compile()))

  def __call__(self, *args: Any) -> Any:
    """Runs a step, and starts or stops the clock before it."""
    first, steps = self._marks
    if self._count[0] == first:
      self._clock.begin()
    elif self._count[0] == first + steps:
      self._clock.split()
    elif self._count[0] == first + 2 * steps:
      self._clock.end()
    self._count[0] += 1
    return self._step(*args)

  def _replaced(self, step: Any) -> "Timed":
    return Timed(step, self._clock, *self._marks, self._count)


class RandomStore:
  """Rows of random tokens, in memory maps like those of a store."""

  def __init__(self, folder: pathlib.Path, count: int):
    rng = np.random.default_rng(0)
    self.lengths = rng.integers(_SHORTEST, _LONGEST + 1, count)
    self.loss_lengths = self.lengths  # At most.
    self._offsets = np.concatenate([[0], np.cumsum(self.lengths)])
    total = self._offsets[-1]
    rng.integers(3, 259, total, np.uint32).tofile(folder / "tokens.bin")
    rng.integers(0, 2, total, np.uint8).tofile(folder / "mask.bin")
    maps = [("tokens.bin", np.uint32), ("mask.bin", np.uint8)]
    self._tokens, self._mask = (
        np.asarray(np.memmap(folder / name, dtype, "r")) for name, dtype in maps
    )

  def row(self, example: int) -> store_lib.TokenRow:
    """Returns a row, like `Store.row`."""
    begin, end = self._offsets[example], self._offsets[example + 1]
    return store_lib.TokenRow(self._tokens[begin:end], self._mask[begin:end])


def make_job(folder: pathlib.Path, steps: int) -> job.Job:
  """Returns a run without evaluations over a random store."""
  size = 16
  store = RandomStore(folder, steps * size)
  ids = np.random.default_rng(1).permutation(steps * size)
  config = config_lib.check({"model": _MODEL, "machine": {"save_every": steps}})
  mesh = mesh_lib.make(config.machine.mesh, jax.devices()[:1])
  start = starts_lib.make(config.model, config.seed)
  member = job.Member(
      path=folder,
      config=config,
      program=program_lib.make(config, start, mesh),
      feed=lambda _: batches.store_feed(store, ids, size),
      lengths=layouts.Lengths(store.lengths[ids], store.loss_lengths[ids]),
      steps=steps,
      evaluators=[],
      start=start,
      identity="benchmark",
  )
  return job.make_single(member, print)


class _patched:
  """Replaces attributes inside a `with` block."""

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
  """Returns a table of host milliseconds per step, by part."""
  clock = Clock()
  changes = [
      (owner, name, clock.timed(part, getattr(owner, name)))
      for owner, name, part in _PARTS
  ]
  with tempfile.TemporaryDirectory() as name, _patched(changes):
    timed_job = make_job(pathlib.Path(name), warm + 2 * steps + 1)
    step = Timed(timed_job.program.step, clock, warm, steps)
    loop.train(
        timed_job._replace(program=timed_job.program._replace(step=step))
    )
  grid = rich.table.Table(title=f"host, {steps} steps")
  grid.add_column("part")
  grid.add_column("ms per step", justify="right")
  waiting = clock.parts.pop(_WAITING)
  host = clock.total - waiting
  parts = {**clock.parts, "the rest": host - sum(clock.parts.values())}
  for part, seconds in parts.items():
    grid.add_row(part, f"{1000 * seconds / steps:.3f}")
  grid.add_row("all", f"{1000 * host / steps:.3f}")
  grid.add_row("in the wait for results", f"{1000 * waiting / steps:.3f}")
  grid.add_row("a step (wall)", f"{1000 * clock.wall / steps:.1f}")
  return grid


def first_step(workdir: pathlib.Path, root: pathlib.Path) -> dict[str, float]:
  """Measures seconds from a process's start to the demo's first logged step."""
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
      times = _logged(workdir)
      if times:
        return {"first step": time.perf_counter() - begin, **times}
      time.sleep(0.01)
  finally:
    process.kill()
    process.wait()
  raise RuntimeError("the demo ended without a step")


def _logged(workdir: pathlib.Path) -> dict[str, float]:
  """Returns the compile and run time of the first step; {} before it is logged."""
  for path in workdir.glob("runs/*/perf.jsonl"):
    for line in path.read_text().splitlines():
      record = json.loads(line)
      if "perf/step_seconds" in record:
        names = ("perf/compile_seconds", "perf/step_seconds")
        return {name: record[name] for name in names}
  return {}


def starts() -> rich.table.Table:
  """Measures starts of the demo, with an empty workdir and again without its
  run.
  """
  root = pathlib.Path(__file__).resolve().parents[1]
  grid = rich.table.Table(title="the demo, seconds")
  for column in ("start", "first step", "of it compiling", "the step"):
    grid.add_column(column, justify="right")
  with tempfile.TemporaryDirectory() as name:
    for start in ("first", "second", "third"):
      times = first_step(pathlib.Path(name), root)
      grid.add_row(start, *(f"{seconds:.2f}" for seconds in times.values()))
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
  table = starts() if options.start else measure(options.steps, options.warm)
  rich.console.Console(width=80).print(table)


if __name__ == "__main__":
  main()
