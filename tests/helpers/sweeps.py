"""A sweep of two orders under two seeds, and jobs that share it."""

import io
import pathlib
import time
from typing import Any

import ml_collections
import rich.console

from launch import sweep
from tests.helpers import bucket_runs
from zsgen.core import artifacts

ORDERS = {"random": {"arrangement": "random"}, "near": {"pick": "nearest"}}
NAMES = ["near-s0", "near-s3", "random-s0", "random-s3"]


def run(
    config: ml_collections.ConfigDict, workdir: Any, **options: Any
) -> tuple[Any, str]:
  """Runs a sweep; returns what `sweep.run` does, and the lines it prints."""
  printed = io.StringIO()
  console = rich.console.Console(file=printed, width=200)
  path = sweep.run(config, workdir, console=console, **options)
  return path, printed.getvalue()


def begin(config: ml_collections.ConfigDict, workdir: Any) -> pathlib.Path:
  """Writes the notes of a sweep, none of whose points is trained.

  Args:
    config: the sweep.
    workdir: a local directory without other sweeps.

  Returns:
    The directory of the sweep.
  """
  run(config, workdir, report=True)
  (path,) = (workdir / "sweeps").iterdir()
  return path


def begin_run(workdir: pathlib.Path, point: str) -> pathlib.Path:
  """Makes the directory of a point's run of nine steps."""
  path = workdir / "runs" / artifacts.name(point, {})
  path.mkdir(parents=True)
  manifest = {
      **{"kind": "run", "made_by": {}, "store": "s", "order": "o"},
      **{"batch_size": 4, "steps": 9},
  }
  artifacts.write_manifest(path, manifest)
  return path


def kill_one_of_two(
    config: ml_collections.ConfigDict,
    workdir: Any,
    tmp_path: pathlib.Path,
    logs: pathlib.Path,
) -> str:
  """Kills one of two jobs that share a sweep, while it trains.

  Args:
    config: the sweep.
    workdir: a directory, or a URL.
    tmp_path: has what the jobs need.
    logs: a directory that has metrics.jsonl once the first job trains.

  Returns:
    What the other job printed, which has finished the sweep.
  """
  jobs = [
      bucket_runs.start_sweep(config, workdir, tmp_path, host=host)
      for host in "ab"
  ]
  first, second = jobs
  try:
    while not list(logs.rglob("runs/*/metrics.jsonl")):
      assert first.poll() is None
      time.sleep(0.05)
    first.kill()
    first.communicate()
    return bucket_runs.finish(second)
  finally:
    for job in jobs:
      job.kill()
