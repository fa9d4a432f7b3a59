"""Runs parts of a benchmark in separate processes, each for a limited time.

Needs the standard library only, so that it runs where packages are missing.
"""

from collections.abc import Iterator, Mapping
import importlib
import multiprocessing
from multiprocessing import connection
import os
import signal
import time
from typing import Any

# Characters of an error's message that are kept.
_LONGEST = 300


def stream(
    function: str,
    *args: Any,
    seconds: float,
    environment: Mapping[str, str],
) -> Iterator[dict[str, Any]]:
  """Runs a generator function in a new process, for a limited time.

  Args:
    function: "module:name"; the module is imported in the new process only.
    *args: its arguments.
    seconds: the process and its children are killed after that time.
    environment: variables to set before the module is imported.

  Yields:
    What the function yields, as soon as it does; and at the end `failed`, if it
    raised an exception, ended early or was killed.
  """
  context = multiprocessing.get_context("spawn")
  parent_end, child_end = context.Pipe(duplex=False)
  process = context.Process(
      target=_child, args=(child_end, function, args, dict(environment))
  )
  process.start()
  child_end.close()
  try:
    end = time.monotonic() + seconds
    while parent_end.poll(max(0.0, end - time.monotonic())):
      row = parent_end.recv()
      if row is None:
        return
      yield row
    yield {"failed": f"it did not end within {seconds:.0f} s, and was killed"}
  except EOFError:
    process.join(_remaining(end))
    yield {"failed": f"the process ended early, code {process.exitcode}"}
  finally:
    _kill(process)
    process.join()


def _remaining(end: float) -> float:
  return max(1.0, end - time.monotonic())


def _kill(process: Any) -> None:
  """Kills a process and its children, which are its process group."""
  try:
    os.killpg(process.pid, signal.SIGKILL)
  except ProcessLookupError:
    process.kill()  # It has no group yet, or has ended.


def _child(
    pipe: connection.Connection,
    function: str,
    args: tuple,
    environment: dict[str, str],
) -> None:
  """Sends the rows that a function yields, or its error; then None."""
  os.setsid()
  os.environ.update(environment)
  try:
    module, _, name = function.partition(":")
    for row in getattr(importlib.import_module(module), name)(*args):
      pipe.send(row)
  except Exception as error:
    pipe.send({"failed": describe(error)})
  pipe.send(None)


def describe(error: Exception) -> str:
  """Returns the type and the message of an error, in one short line."""
  message = " ".join(str(error).split())
  line = f"{type(error).__name__}: {message}"
  return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} …"
