"""What benchmarks against peers share: a process for each, and a model."""

from collections.abc import Callable
import multiprocessing
from multiprocessing import connection
import pathlib
from typing import Any

from zsgen.core import config

# The architecture that peers train and decode.
ARCH = config.Model(
    init="new",
    vocab_size=8192,
    layers=6,
    width=320,
    heads=5,
    kv_heads=5,
    head_width=64,
    mlp_width=864,
    tied=True,
)


def measure(function: Callable[..., dict[str, Any]], *args: Any) -> dict:
  """Runs a function of a module in a new process.

  Args:
    function: the function, which returns measurements.
    *args: its arguments.

  Returns:
    Its result and `peak_mb`; or `failed`, the reason for the failure: a package
    is not installed, or the process ended early.
  """
  context = multiprocessing.get_context("spawn")
  parent_end, child_end = context.Pipe()
  process = context.Process(target=_child, args=(child_end, function, args))
  process.start()
  child_end.close()
  try:
    result = parent_end.recv()
  except EOFError:
    result = {"failed": "it did not end (out of memory?)"}
  process.join()
  return result


def _child(
    pipe: connection.Connection,
    function: Callable[..., dict[str, Any]],
    args: tuple,
) -> None:
  """Sends the result of a function and the peak memory of its process."""
  try:
    result = function(*args)
  except ImportError as error:
    pipe.send({"failed": str(error)})
    return
  pipe.send({**result, "peak_mb": peak_mb()})


def peak_mb() -> float:
  """Returns the peak resident set of this process.

  That of getrusage includes the parent's.
  """
  status = pathlib.Path("/proc/self/status").read_text()
  (line,) = [line for line in status.splitlines() if "VmHWM" in line]
  return int(line.split()[1]) / 1024
