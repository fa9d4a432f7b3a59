"""Parts of a check that end in every possible way."""

from collections.abc import Iterator
import os
import subprocess
import sys
import time
from typing import Any


def measure(task: Any) -> Iterator[dict[str, Any]]:
  """Yields two rows."""
  del task
  yield {"case": "first", "rate": 3.0}
  yield {"case": "second", "rate": 6.0, "figures": {"pid": os.getpid()}}


def fail(task: Any) -> Iterator[dict[str, Any]]:
  """Yields a row and raises an exception."""
  del task
  yield {"case": "before", "rate": 1.0}
  raise ValueError("no | memory\nis left")


def end(task: Any) -> Iterator[dict[str, Any]]:
  """Ends the process, as the system does when memory is short."""
  del task
  yield {"case": "before", "rate": 1.0}
  os._exit(9)


def hang(task: Any) -> Iterator[dict[str, Any]]:
  """Hangs, as does a process that it has started."""
  del task
  sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
  yield {"case": "before", "pid": subprocess.Popen(sleep).pid}
  time.sleep(600)


def show(task: Any) -> Iterator[dict[str, Any]]:
  """Yields the environment and what the task has."""
  yield {"case": os.environ["ZSGEN_CHECK"], "figures": dict(task)}
