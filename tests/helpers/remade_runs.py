"""Reads runs whose order is arranged anew."""

import json
import pathlib
import shutil
from typing import Any

import ml_collections
import numpy as np

from tests.helpers import restarts
from zsgen.orders import order as order_lib
from zsgen.orders import segments

# The steps before which the orders of tests are, of 10 steps of 4 examples.
STEPS = (4, 8)


def only_run(workdir: pathlib.Path) -> pathlib.Path:
  """Returns the directory of the only run of a workdir."""
  (run,) = (workdir / "runs").iterdir()
  return run


def consumed_ids(run: pathlib.Path) -> np.ndarray:
  """Returns the ids that a run consumed, int64 [n]."""
  ids = np.load(run / "consumed.npy").ravel()
  return ids[ids >= 0]


def load_order(run: pathlib.Path) -> order_lib.Order:
  """Returns the order of a run, as it was made before training."""
  (path,) = (run.parents[1] / "orders").iterdir()
  return order_lib.Order.load(path)


def load_segment(
    run: pathlib.Path, step: int
) -> tuple[np.ndarray, dict[str, Any]]:
  """Returns the ids of a segment, int64 [n], and its manifest."""
  directory = segments.path_of(run, step)
  return np.load(directory / "ids.npy"), json.loads(
      (directory / "manifest.json").read_text()
  )


def segment_bytes(run: pathlib.Path) -> dict[str, bytes]:
  """Returns the content of the files of all segments, by name."""
  return {
      f"{step}/{name}": (segments.path_of(run, step) / name).read_bytes()
      for step in STEPS
      for name in segments.FILES
  }


def copy_run(run: pathlib.Path, path: pathlib.Path) -> pathlib.Path:
  """Returns the run in a copy of its workdir, which is made in a directory."""
  copied = shutil.copytree(run.parents[1], path / "copied", symlinks=True)
  return only_run(copied)


def copy_until_first_segment(
    run: pathlib.Path, path: pathlib.Path
) -> pathlib.Path:
  """Returns a copy of a finished run without what follows its first segment."""
  copied = copy_run(run, path)
  (copied / "result.json").unlink()
  for step in (5, 8, 10):
    shutil.rmtree(copied / "checkpoints" / str(step))
  return copied


def assert_kills_change_nothing(
    config: ml_collections.ConfigDict,
    moments: tuple[str, ...],
    workdir: pathlib.Path,
    unbroken: pathlib.Path,
) -> None:
  """Asserts that a run has the bytes of another one after it was killed.

  Args:
    config: its config.
    moments: when it is killed, as `restarts.start` takes them.
    workdir: a directory for it, which does not exist.
    unbroken: the workdir of the same run, which was not killed.
  """
  for moment in moments:
    killed = restarts.start(config, workdir, moment)
    assert killed.returncode == -9, killed.stderr
  resumed = restarts.start(config, workdir)
  assert resumed.returncode == 0, resumed.stderr
  assert restarts.content(workdir) == restarts.content(unbroken)
  resumed_segments = segment_bytes(only_run(workdir))
  assert resumed_segments == segment_bytes(only_run(unbroken))


def remade_steps(run: pathlib.Path) -> list[int]:
  """Returns the steps whose time to arrange the rest anew is logged."""
  lines = [json.loads(line) for line in (run / "perf.jsonl").open()]
  return [line["step"] for line in lines if "perf/remake_seconds" in line]
