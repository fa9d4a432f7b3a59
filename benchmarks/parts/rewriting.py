"""Trains the experiment on the diversity of rewrites until time is over."""

from collections.abc import Iterator
import contextlib
import json
import multiprocessing
import os
import pathlib
import runpy
import signal
import time
from typing import Any

from benchmarks.parts import task as task_lib
from launch import sweep
from zsgen import pipeline
from zsgen.core import errors

_CONFIG = pathlib.Path("configs", "rewrites", "diversity.py")
# Seconds between the request to stop and the end of the part.
_STOPPING = 15
_SEED = 0
# Exit codes of a process that has finished, that was stopped before it trained,
# and that is still stopping.
_ENDS = (0, -signal.SIGTERM, None)
_METRICS = ("unseen/exact_match", "seen/exact_match")


def train(task: task_lib.Task) -> Iterator[task_lib.Row]:
  """Yields what each number of rules has reached when time is over."""
  began = time.monotonic()
  workdir = task.scratch / "rewrites"
  process = multiprocessing.get_context("spawn").Process(
      target=_train,
      args=(workdir, task.sizes.rewrites, task.sizes.rules),
  )
  process.start()
  process.join(max(1.0, task.seconds - _STOPPING))
  if process.is_alive():
    os.kill(process.pid or 0, signal.SIGTERM)
    process.join(_STOPPING - 3)
  row: task_lib.Row = {
      "case": f"{task.sizes.rewrites}, {len(task.sizes.rules)} members",
      "figures": {"s": time.monotonic() - began},
  }
  if process.exitcode not in _ENDS:
    row["failed"] = f"its process ended with code {process.exitcode}"
  yield row
  for run in sorted(workdir.glob("runs/*")):
    yield {"case": run.name, "figures": summarize(run)}


def _train(workdir: pathlib.Path, tier: str, rules: tuple[int, ...]) -> None:
  """Trains a run of each number of rules, as one population."""
  root = pathlib.Path(__file__).resolve().parents[2]
  config = runpy.run_path(str(root / _CONFIG))["get_config"](tier)
  config.sweep["seeds"] = (_SEED,)
  del config.evals["written"]  # It needs rouge-score.
  points = dict(sweep.points(config))
  members = [points[f"rules{count}-s{_SEED}"] for count in rules]
  with contextlib.suppress(errors.Stopped):
    pipeline.run_population(members, workdir)


def summarize(run: pathlib.Path) -> dict[str, Any]:
  """Returns the last evaluation of a run and its median step."""
  figures: dict[str, Any] = {}
  for record in _records(run / "metrics.jsonl"):
    for name in _METRICS:
      if name in record:
        figures |= {"step": record["step"], name: record[name]}
  times = [
      record["perf/step_seconds"]
      for record in _records(run / "perf.jsonl")
      if "perf/step_seconds" in record
  ]
  if times:
    figures["ms"] = 1000 * sorted(times)[len(times) // 2]
  return figures


def _records(path: pathlib.Path) -> list[dict[str, Any]]:
  """Returns the records of a log; the last line may be incomplete."""
  if not path.exists():
    return []
  lines = path.read_text().splitlines(keepends=True)
  return [json.loads(line) for line in lines if line.endswith("\n")]
