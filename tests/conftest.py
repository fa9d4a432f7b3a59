"""What tests share."""

import atexit
from collections.abc import Iterator
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import uuid

# Set before JAX is imported anywhere: tests run on the CPU.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# All tests of a session share compiled programs, as do the processes that they
# start. Workers of pytest-xdist inherit the directory.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
  _programs = tempfile.mkdtemp(prefix="zsgen-programs-")
  atexit.register(shutil.rmtree, _programs, ignore_errors=True)
  os.environ |= {
      "JAX_COMPILATION_CACHE_DIR": _programs,
      "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
      "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
  }

import ml_collections
import pytest

from tests.helpers import configs, gcs_server, shared

ROOT = pathlib.Path(__file__).resolve().parents[1]
NIV2_TASKS = {
    "train": ("task001_even", "task002_odd", "task003_copy"),
    "test": ("task004_large",),
}


@pytest.fixture(scope="session")
def root() -> pathlib.Path:
  """Returns the root of the checkout."""
  return ROOT


@pytest.fixture(scope="session")
def shared_root(tmp_path_factory) -> pathlib.Path:
  """Returns the directory that all workers share; see `shared.make_once`."""
  return shared.root(tmp_path_factory)


@pytest.fixture(scope="session")
def workdirs(shared_root) -> shared.Workdirs:
  """Returns finished experiments that all workers share."""
  return shared.Workdirs(shared_root)


@pytest.fixture(scope="session")
def real(root, shared_root):
  """Returns a function: real("p3") is a directory of rows as a publisher's."""
  build = root / "../shared/data/build.py"
  if not build.is_file():
    pytest.skip("the real data is not there (../shared/data)")

  def make(path: pathlib.Path) -> None:
    command = [sys.executable, build, path.name, path]
    subprocess.run(command, check=True)

  return lambda name: shared.make_once(shared_root / name, make)


@pytest.fixture(scope="session")
def flan_mini(real) -> pathlib.Path:
  """Returns real rows and the paper's key list, as Flan-mini is published."""
  return real("flan_mini")


@pytest.fixture(scope="session")
def gcs(tmp_path_factory) -> Iterator[dict[str, str]]:
  """Serves the bucket gs://zsgen-test; yields the environment of its clients.

  It is that of this process, too.
  """
  with gcs_server.serve(tmp_path_factory.mktemp("gcs")) as variables:
    with gcs_server.environment(variables):
      from fsspec import config

      config.set_conf_env(config.conf)  # Perhaps imported before.
      yield variables


@pytest.fixture
def bucket_url(gcs, tmp_path, monkeypatch) -> str:
  """Returns the URL of a new workdir in a bucket; copies are in `tmp_path`."""
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
  return f"gs://{gcs_server.BUCKET}/{uuid.uuid4().hex[:8]}"


@pytest.fixture
def small() -> ml_collections.ConfigDict:
  """Returns a config that trains in a second; see `configs.small`."""
  return configs.small()


@pytest.fixture
def niv2(tmp_path: pathlib.Path) -> pathlib.Path:
  """Writes a small clone in the layout of allenai/natural-instructions."""
  clone = tmp_path / "natural-instructions"
  for split, names in NIV2_TASKS.items():
    for number, name in enumerate(names):
      _write_task(clone / "tasks" / f"{name}.json", name, number)
    task_list = clone / "splits" / "default" / f"{split}_tasks.txt"
    task_list.parent.mkdir(parents=True, exist_ok=True)
    task_list.write_text("\n".join(names) + "\n")
  return clone


def _write_task(path: pathlib.Path, name: str, number: int) -> None:
  """A task file with every field that publishers write."""
  path.parent.mkdir(parents=True, exist_ok=True)
  example = {"input": "1, 2", "output": "2", "explanation": "2 is even."}
  instances = [
      {"id": f"{name}-{i}", "input": f"{i}, {i + number}", "output": [str(i)]}
      for i in range(30)
  ]
  path.write_text(
      json.dumps(
          {
              "Contributors": ["zsgen"],
              "Source": ["synthetic"],
              "URL": [],
              "Categories": ["Number Selection"],
              "Reasoning": [],
              "Definition": [f"From a list of numbers give {name[8:]} ones."],
              "Input_language": ["English"],
              "Output_language": ["English"],
              "Instruction_language": ["English"],
              "Domains": ["Mathematics"],
              "Positive Examples": [example],
              "Negative Examples": [],
              "Instances": instances,
          },
          indent=1,
      ),
      "utf-8",
  )
