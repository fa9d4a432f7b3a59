"""Starts an experiment for each case, as the command does, in a fork.

  python -m tests.campaigns.option_runner < CASES > RESULTS

A case is a line of JSON: arguments, how far to go, seconds it may take. A
result is one too: exit code or the signal that ended it, what it printed, and
the names of its artifacts. The parent imports everything once, and touches no
device: a fork is a process of its own in all that can go wrong.
"""

import json
import os
import pathlib
import resource
import signal
import sys
import tempfile
import time
import traceback
from typing import Any, NamedTuple

from zsgen import main as _main  # Its flags.
from zsgen import pipeline
from zsgen.core import command
from zsgen.core import config as config_lib
from zsgen.pipeline import experiment as experiment_lib
from zsgen.pipeline import train

_POLL = 0.005
_LIMIT = 2000
# Bytes that a case may take: what is too much fails, and harms nobody.
_MEMORY = 6 * 2**30


class _Child(NamedTuple):
  """A case that runs."""

  number: int
  case: dict[str, Any]
  pid: int
  begin: float
  folder: pathlib.Path


def run(cases: list[dict], workers: int) -> list[dict]:
  """Runs cases, some at a time; results in their order."""
  results: list[Any] = [None] * len(cases)
  due, running = list(enumerate(cases))[::-1], []
  with tempfile.TemporaryDirectory() as root:
    while due or running:
      while due and len(running) < workers:
        number, case = due.pop()
        running.append(_fork(number, case, pathlib.Path(root, str(number))))
      running = [child for child in running if not _ended(child, results)]
      time.sleep(_POLL)
  return results


def _fork(number: int, case: dict, folder: pathlib.Path) -> _Child:
  folder.mkdir()
  begin = time.monotonic()
  pid = os.fork()
  if pid:
    return _Child(number, case, pid, begin, folder)
  try:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    log = os.open(folder / "log", os.O_CREAT | os.O_WRONLY)
    os.dup2(log, 1)
    os.dup2(log, 2)
    code = _child(case, folder / "names.json")
    sys.stdout.flush()
    sys.stderr.flush()
  except BaseException:
    traceback.print_exc()
    code = 1
  os._exit(code)


def _child(case: dict, names: pathlib.Path) -> int:
  """Runs the command up to the first step; returns its exit code."""
  sys.argv = ["zsgen.main", *case["arguments"]]

  def start() -> None:
    if case["reach"] == "plan":
      _main.main()
      return
    is_job = case["reach"] == "job"
    artifacts = _start(command.CONFIG.value, command.WORKDIR.value, is_job)
    names.write_text(json.dumps(artifacts))

  try:
    command.start(start)
  except SystemExit as end:
    return int(end.code or 0)
  return 0


def _start(config: Any, workdir: str, makes_artifacts: bool) -> list[str]:
  """Runs `pipeline.run` up to the first step; returns names of artifacts.

  Unless `makes_artifacts`, it checks the experiment only and returns no names.
  """
  paths = []
  if not makes_artifacts:
    checked = config_lib.check(config)
    experiment_lib.Experiment(checked, pathlib.Path(workdir))
    return paths

  def job(experiment: experiment_lib.Experiment) -> pathlib.Path:
    paths.extend([experiment.store.path, experiment.order.path])
    train.make_member(experiment)
    paths.append(experiment.run.path)
    return experiment.run.path

  pipeline._RUN["train"] = job
  pipeline.run(config, workdir, ["train"])
  return [path.name for path in paths]


def _ended(child: _Child, results: list) -> bool:
  """Returns whether a case has ended, and records its result."""
  pid, status = os.waitpid(child.pid, os.WNOHANG)
  seconds = time.monotonic() - child.begin
  late = not pid and seconds > child.case["seconds"]
  if late:
    os.kill(child.pid, signal.SIGKILL)
    _, status = os.waitpid(child.pid, 0)
  if not pid and not late:
    return False
  names = child.folder / "names.json"
  results[child.number] = {
      "code": "late" if late else os.waitstatus_to_exitcode(status),
      "printed": _printed(child.folder / "log"),
      "names": json.loads(names.read_text()) if names.exists() else [],
      "seconds": round(seconds, 2),
  }
  return True


def _printed(log: pathlib.Path) -> str:
  """Returns the output, without the middle of a long one."""
  text = log.read_text(errors="replace")
  return text if len(text) < 2 * _LIMIT else text[:_LIMIT] + text[-_LIMIT:]


def main() -> None:
  """Reads cases, writes results."""
  cases = [json.loads(line) for line in sys.stdin]
  out = os.fdopen(os.dup(1), "w")
  for result in run(cases, int(sys.argv[1])):
    out.write(json.dumps(result) + "\n")
  out.close()


if __name__ == "__main__":
  main()
