"""Runs in buckets: of processes with copies of their own, and their results."""

import json
import pathlib
import socket
import subprocess
import sys

import ml_collections

from tests.helpers import xla
from zsgen.train import checkpoints

ROOT = pathlib.Path(__file__).resolve().parents[2]
KILL = pathlib.Path(__file__).with_name("kill_requests.py")
# Files whose content is not a function of the config.
_CLOCKS = {"perf.jsonl", "provenance.json", "report.html"}


def results(run: pathlib.Path) -> dict[str, bytes]:
  """Reads what must be equal: all files that a config decides."""
  files = {
      path.relative_to(run).as_posix(): path.read_bytes()
      for path in run.rglob("*")
      if path.is_file()
      and path.name not in _CLOCKS
      and path.relative_to(run).parts[0]
      not in (checkpoints.NAME, "export-float32")
      and not path.name.startswith(".")
  }
  with checkpoints.Finished(run) as saved:
    steps = saved.steps()
    return files | {"checkpoint": saved.digest(steps[-1]).encode()}


def elsewhere(monkeypatch, tmp_path: pathlib.Path) -> None:
  """Makes this process one of a host that has no copies."""
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))


def start(
    config: ml_collections.ConfigDict,
    url: str,
    tmp_path: pathlib.Path,
    count: int = 0,
    host: str = "a",
    **environment: str,
) -> subprocess.Popen:
  """Runs a config in a process of its own, on a host with copies of its own.

  Args:
    config: the config.
    url: the workdir.
    tmp_path: has the copies of all hosts.
    count: the request to the bucket before which it dies; 0 for none.
    host: the name of the host.
    **environment: variables of the process.
  """
  path = tmp_path / "config.json"
  path.write_text(config.to_json())
  command = [sys.executable, KILL, path, url, str(count)]
  return _popen(command, tmp_path / host, environment)


def processes_of_a_job() -> list[dict[str, str]]:
  """Returns arguments of `start` for two processes of one job.

  They are on hosts of their own.
  """
  with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
  return [
      {
          "host": f"host-{index}",
          "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}",
          "JAX_NUM_PROCESSES": "2",
          "JAX_PROCESS_ID": str(index),
      }
      for index in range(2)
  ]


def finish(process: subprocess.Popen) -> str:
  """Waits for a process, which must succeed; returns what is on stderr."""
  _, printed = process.communicate()
  assert process.returncode == 0, printed
  return printed


def start_sweep(
    config: ml_collections.ConfigDict,
    url: str | pathlib.Path,
    tmp_path: pathlib.Path,
    *flags: str,
    host: str = "a",
    **environment: str,
) -> subprocess.Popen:
  """Starts a job of a sweep, as `start` does for a run."""
  values = json.dumps(config.to_dict())
  path = tmp_path / "config.py"
  path.write_text(
      "import json, ml_collections\n\ndef get_config():\n"
      f"  return ml_collections.ConfigDict(json.loads({values!r}))\n"
  )
  command = [sys.executable, "-m", "launch.sweep", f"--config={path}"]
  command += [f"--workdir={url}", *flags]
  return _popen(command, tmp_path / host, environment)


def _popen(command, cache: pathlib.Path, environment) -> subprocess.Popen:
  variables = {**xla.environment(), **environment, "XDG_CACHE_HOME": str(cache)}
  return subprocess.Popen(
      command,
      cwd=ROOT,
      env=variables,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
  )
