"""Runs the train stage in processes that may be killed, and reads results."""

import pathlib
import subprocess
import sys

import jax
import ml_collections
import numpy as np
import orbax.checkpoint as ocp

KILL_RUN = pathlib.Path(__file__).with_name("kill_run.py")


def start(
    config: ml_collections.ConfigDict,
    workdir: pathlib.Path,
    moment: str = "never",
) -> subprocess.CompletedProcess:
  """Runs the train stage in a process of its own.

  What was compiled for one run of these tests is there for the others, as it
  is for a run that was killed.
  """
  workdir.mkdir(exist_ok=True)
  path = workdir / "config.json"
  path.write_text(config.to_json())
  compiled = workdir.parent / "compiled"
  compiled.mkdir(exist_ok=True)
  if not (workdir / "cache").exists():
    (workdir / "cache").symlink_to(compiled)
  return subprocess.run(
      [sys.executable, KILL_RUN, path, workdir, moment],
      capture_output=True,
      text=True,
      check=False,
  )


def content(workdir: pathlib.Path) -> dict[str, bytes]:
  """Reads all that must be equal: metrics, evaluations, ids, parameters."""
  (run,) = (workdir / "runs").iterdir()
  result = {"result.json": (run / "result.json").read_bytes()}
  return result | records(run) | parameters(run)


def records(run: pathlib.Path) -> dict[str, bytes]:
  """Reads the records of a run that are functions of its config."""
  files = ["metrics.jsonl", "consumed.npy"]
  files += [path.relative_to(run) for path in (run / "evals").rglob("*.npy")]
  return {str(name): (run / name).read_bytes() for name in files}


def parameters(run: pathlib.Path) -> dict[str, bytes]:
  """Returns the bytes of every array of the last checkpoint."""
  newest = max(int(p.name) for p in (run / "checkpoints").iterdir())
  state = ocp.StandardCheckpointer().restore(
      (run / "checkpoints" / str(newest) / "state").absolute()
  )
  leaves = jax.tree_util.tree_leaves_with_path(state)
  return {jax.tree_util.keystr(k): np.asarray(v).tobytes() for k, v in leaves}
