"""`python -m launch.local --processes=2 -- python -m zsgen.main …`.

Several processes of one command on this machine, which find each other on the
loopback. Lines are shown with the number of the process before them. Where one
fails, the others get a while to end by themselves and are killed then. SIGTERM
and Ctrl-C are passed on; a run that SIGTERM stopped ends with exit code 75.
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

# Seconds that the others may take to end after one has failed: jax takes 30 to
# miss one that was killed.
_PATIENCE = 60.0
_POLL = 0.1


def run(
    command: Sequence[str], processes: int, out: TextIO = sys.stderr
) -> int:
  """Runs a command as several processes, to the end of all.

  Args:
    command: with its arguments, the same for each.
    processes: how many.
    out: where lines go.

  Returns:
    0 if all ended well; otherwise the exit code of the first that did not,
    which is 75 if SIGTERM stopped training and the run has saved.
  """
  started: list[subprocess.Popen] = []

  def pass_on(number: int, _: Any) -> None:
    for each in started:
      each.send_signal(number)

  for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, pass_on)
  port = _free_port()
  for index in range(processes):
    started.append(_start(command, processes, index, port))
  readers = [
      threading.Thread(target=_show, args=(index, each, out))
      for index, each in enumerate(started)
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
      start_new_session=True,  # Ctrl-C comes from here alone, and once.
      text=True,
      errors="replace",
  )


def _show(index: int, process: subprocess.Popen, out: TextIO) -> None:
  """Shows the lines of a process as they come."""
  for line in process.stdout:
    out.write(f"[{index}] {line}")
    out.flush()


def _wait(started: Sequence[subprocess.Popen], out: TextIO) -> int:
  """Waits for all; the code of the first that failed, or 0."""
  failed, since = 0, 0.0
  codes: list[int | None] = [None]
  while None in codes:
    codes = [process.poll() for process in started]
    if not failed and any(codes):
      index, failed = next((i, code) for i, code in enumerate(codes) if code)
      since = time.monotonic()
      out.write(f"process {index} {_ended(failed)}; the others end too\n")
      out.flush()
    if failed and time.monotonic() - since > _PATIENCE:
      for process in started:
        process.kill()
    time.sleep(_POLL)
  return 128 - failed if failed < 0 else failed


def _ended(code: int) -> str:
  if code < 0:
    return f"was ended by {signal.Signals(-code).name}"
  if code == errors.STOPPED:
    return f"has saved and stopped (exit code {code})"
  return f"ended with exit code {code}"


def _free_port() -> int:
  with socket.socket() as found:
    found.bind(("127.0.0.1", 0))
    return found.getsockname()[1]


def main() -> None:
  """Runs what the command line says."""
  parser = argparse.ArgumentParser(
      prog="python -m launch.local", description=__doc__.partition("\n\n")[2]
  )
  parser.add_argument("--processes", type=int, required=True)
  parser.add_argument("command", nargs="+", help="after --")
  asked = parser.parse_args()
  if asked.processes < 1:
    parser.error("--processes must be 1 or more")
  sys.exit(run(asked.command, asked.processes))


if __name__ == "__main__":
  main()
