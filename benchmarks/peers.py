"""A peer in a process of its own: what it measured, and its peak memory."""

from collections.abc import Callable
import multiprocessing
from multiprocessing import connection
import pathlib
from typing import Any


def measure(function: Callable[..., dict[str, Any]], *args: Any) -> dict:
  """Runs a function of a module in a new process.

  Args:
    function: returns what it measured.
    *args: of the function.

  Returns:
    Its result and `peak_mb`; or `failed`, why there is none: a package that is
    not installed, or a process that ended early.
  """
  context = multiprocessing.get_context("spawn")
  ours, theirs = context.Pipe()
  process = context.Process(target=_child, args=(theirs, function, args))
  process.start()
  theirs.close()
  try:
    found = ours.recv()
  except EOFError:
    found = {"failed": "it did not end (out of memory?)"}
  process.join()
  return found


def _child(
    pipe: connection.Connection,
    function: Callable[..., dict[str, Any]],
    args: tuple,
) -> None:
  try:
    found = function(*args)
  except ImportError as error:
    pipe.send({"failed": str(error)})
    return
  pipe.send({**found, "peak_mb": _peak_mb()})


def _peak_mb() -> float:
  """Largest resident set of this process; getrusage's is its parent's too."""
  status = pathlib.Path("/proc/self/status").read_text()
  (line,) = [each for each in status.splitlines() if "VmHWM" in each]
  return int(line.split()[1]) / 1024
