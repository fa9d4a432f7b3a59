"""`python -m launch.local --processes=2 -- python -m zsgen.main …`.

Runs a command as several processes on this machine, which find each other on
the loopback interface. The number of the process precedes each line of output.
If one process fails, the others get some time to exit before they are killed.
SIGTERM and Ctrl-C are forwarded; a run that SIGTERM stopped exits with code 75.
"""

import argparse
from collections.abc import Sequence
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any, TextIO

from zsgen.core import errors

# Seconds that the others may take to exit after one has failed: jax takes 30 to
# notice that a process was killed.
_PATIENCE = 60.0
_POLL = 0.1


def run(
    command: Sequence[str], processes: int, out: TextIO = sys.stderr
) -> int:
  """Runs a command as several processes and waits for all of them.

  Args:
    command: the command with its arguments.
    processes: number of processes.
    out: stream for the output.

  Returns:
    0 if all succeeded; otherwise the exit code of the first one that failed,
    which is 75 if SIGTERM stopped training after saving.
  """
  started: list[subprocess.Popen] = []

  def pass_on(number: int, _: Any) -> None:
    """Passes a signal on to all processes that have been started."""
    for process in started:
      process.send_signal(number)

  for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, pass_on)
  port = _free_port()
  for index in range(processes):
    started.append(_start(command, processes, index, port))
  readers = [
      threading.Thread(target=_show, args=(index, process, out))
      for index, process in enumerate(started)
  ]
  for reader in readers:
    reader.start()
  code = _wait(started, out)
  for reader in readers:
    reader.join()
  return code


def _start(
    command: Sequence[str], processes: int, index: int, port: int
) -> subprocess.Popen:
  """Starts one process of a run, in a session of its own."""
  variables = {
      "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}",
      "JAX_NUM_PROCESSES": str(processes),
      "JAX_PROCESS_ID": str(index),
      "PYTHONUNBUFFERED": "1",
  }
  return subprocess.Popen(
      command,
      env={**os.environ, **variables},
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      start_new_session=True,  # Ctrl-C arrives only once, from here.
      text=True,
      errors="replace",
  )


def _show(index: int, process: subprocess.Popen, out: TextIO) -> None:
  """Prints the lines of a process as they arrive."""
  for line in process.stdout:
    out.write(f"[{index}] {line}")
    out.flush()


def _wait(started: Sequence[subprocess.Popen], out: TextIO) -> int:
  """Waits for all processes; returns the code of the first failure, or 0."""
  failure, failed_at = 0, 0.0
  codes: list[int | None] = [None]
  while None in codes:
    codes = [process.poll() for process in started]
    if not failure and any(codes):
      index, failure = next((i, code) for i, code in enumerate(codes) if code)
      failed_at = time.monotonic()
      out.write(
          f"process {index} {_ended(failure)}; the others will exit too\n"
      )
      out.flush()
    if failure and time.monotonic() - failed_at > _PATIENCE:
      for process in started:
        process.kill()
    time.sleep(_POLL)
  return 128 - failure if failure < 0 else failure


def _ended(code: int) -> str:
  """Returns how a process ended, in words."""
  if code < 0:
    return f"was ended by {signal.Signals(-code).name}"
  if code == errors.STOPPED:
    return f"has saved and stopped (exit code {code})"
  return f"ended with exit code {code}"


def _free_port() -> int:
  with socket.socket() as listener:
    listener.bind(("127.0.0.1", 0))
    return listener.getsockname()[1]


def main() -> None:
  """Runs the command of the command line."""
  parser = argparse.ArgumentParser(
      prog="python -m launch.local", description=__doc__.partition("\n\n")[2]
  )
  parser.add_argument(
      "--processes", type=int, required=True, help="number of processes"
  )
  parser.add_argument("command", nargs="+", help="the command, after --")
  options = parser.parse_args()
  if options.processes < 1:
    parser.error("--processes must be 1 or more")
  sys.exit(run(options.command, options.processes))


if __name__ == "__main__":
  main()
