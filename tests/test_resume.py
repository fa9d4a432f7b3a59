"""A run that is killed and started again leaves the bytes of an unbroken one."""

import json
import pathlib
import re
import subprocess
import sys

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

KILL_RUN = pathlib.Path(__file__).parent / "helpers" / "kill_run.py"


def start(config, workdir: pathlib.Path, moment: str = "never"):
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
  files = ["metrics.jsonl", "consumed.npy", "result.json"]
  files += [path.relative_to(run) for path in (run / "evals").rglob("*.npy")]
  results = {str(name): (run / name).read_bytes() for name in files}
  return results | parameters(run)


def parameters(run: pathlib.Path) -> dict[str, bytes]:
  """Returns the bytes of every array of the last checkpoint."""
  newest = max(int(p.name) for p in (run / "checkpoints").iterdir())
  state = ocp.StandardCheckpointer().restore(
      (run / "checkpoints" / str(newest) / "state").absolute()
  )
  leaves = jax.tree_util.tree_leaves_with_path(state)
  return {jax.tree_util.keystr(k): np.asarray(v).tobytes() for k, v in leaves}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
  """Runs configs without a break, once each."""
  cache = {}

  def get(config):
    key = config.to_json()
    if key not in cache:
      workdir = tmp_path_factory.mktemp("unbroken")
      finished = start(config, workdir)
      assert finished.returncode == 0, finished.stderr
      cache[key] = content(workdir), json.loads(finished.stdout)
    return cache[key]

  return get


# 10 steps, evaluations at 0, 4, 8, 10, checkpoints at 5 and 10.
@pytest.mark.parametrize(
    ("moment", "first"),
    [
        ("step:2", "0"),
        ("evaluation:8", "5"),
        ("save:5", "[05]"),
        ("save:10", "5|10"),
    ],
    ids=["before-the-first-save", "evaluation", "save", "last-save"],
)
@pytest.mark.slow
def test_resumes_after_a_kill(small, unbroken, tmp_path, moment, first):
  killed = start(small, tmp_path, moment)
  assert killed.returncode == -9, killed.stderr
  resumed = start(small, tmp_path)
  assert resumed.returncode == 0, resumed.stderr
  assert re.search(f"from step ({first}) of 10", resumed.stderr)
  expected, _ = unbroken(small)
  actual = content(tmp_path)
  assert sorted(actual) == sorted(expected)
  assert [name for name in actual if actual[name] != expected[name]] == []


def test_resumes_after_a_kill_between_saves(small, unbroken, tmp_path):
  assert start(small, tmp_path, "step:7").returncode == -9
  resumed = start(small, tmp_path)
  assert resumed.returncode == 0, resumed.stderr
  assert "from step 5 of 10" in resumed.stderr
  assert content(tmp_path) == unbroken(small)[0]


@pytest.mark.slow
def test_resumes_after_three_kills(small, unbroken, tmp_path):
  for moment in ("evaluation:0", "save:5", "step:9"):
    assert start(small, tmp_path, moment).returncode == -9
  assert start(small, tmp_path).returncode == 0
  assert content(tmp_path) == unbroken(small)[0]


def test_training_needs_no_tensorflow(small, unbroken):
  _, report = unbroken(small)
  assert report["heavy"] == []


def test_restarting_a_finished_run_changes_nothing(small, workdirs, tmp_path):
  workdirs.run(small, tmp_path)
  before = content(tmp_path)
  rerun = start(small, tmp_path)
  assert rerun.returncode == 0
  assert "already finished" in rerun.stderr
  assert content(tmp_path) == before
