"""One process fails: the others end too, at once and with a message.

Left alone they would wait in a collective operation, or at their exit for each
other. So a process that fails says so, and a thread of every process listens.
One that is killed says nothing: connections break, which ends a collective on
the CPU; or jax misses its heartbeat, and ends the others with a message of its
own.
"""

import atexit
import contextlib
import functools
import json
import os
import sys
import threading
import time
from typing import NoReturn

from zsgen.core import errors, terminal
from zsgen.core.hosts import service

_FAILED, _LEFT = "zsgen/failed", "zsgen/left"
# Seconds that a message takes to be heard, at most.
_SLICE = 1.0
# Seconds that process 0, with which messages end, waits for others to leave.
_PATIENCE = 5.0
# What libraries say where the connection to another process broke.
_BROKEN = (
    "Connection closed by peer",
    "Connection reset by peer",
    "Socket closed",
    "Broken pipe",
    "Gloo",
    "heartbeat",
)
_AGAIN = "Start all processes again with the same command to resume."
_over = threading.Event()


@functools.cache
def watch() -> None:
  """Starts the thread that ends this process when another one has failed."""
  thread = threading.Thread(target=_listen, daemon=True)
  thread.start()

  def end() -> None:
    _over.set()
    thread.join()  # It must not ask a service that is shut down.

  # Runs before jax's own, as it is registered after it.
  atexit.register(end)


def tell(error: BaseException) -> None:
  """Says to the other processes that this one fails."""
  if _over.is_set():
    return
  import jax

  _over.set()
  code = 2 if isinstance(error, errors.InputError) else 1
  said = told(error) or f"{type(error).__name__}: {_first_line(error)}"
  if isinstance(error, errors.InputError | errors.Stopped):
    said = str(error)
  # Where process 0 is gone there is nobody to tell.
  with contextlib.suppress(jax.errors.JaxRuntimeError):
    service.publish(_FAILED, json.dumps([service.index(), code, said]))


def told(error: BaseException) -> str:
  """What to say of an error that another process's end made; "" of others."""
  if not service.several() or not any(w in str(error) for w in _BROKEN):
    return ""
  import jax

  # Which kind it is differs between collectives.
  if not isinstance(error, jax.errors.JaxRuntimeError | ValueError):
    return ""
  return f"another process is gone ({_first_line(error)}). {_AGAIN}"


def leave(code: int) -> NoReturn:
  """Exits at once: at an orderly exit jax waits for the other processes."""
  import jax

  sys.stdout.flush()
  sys.stderr.flush()
  with contextlib.suppress(jax.errors.JaxRuntimeError):
    there = service.add_one(_LEFT)
    begin = time.monotonic()
    while (
        service.is_first()
        and there < service.count()
        and time.monotonic() - begin < _PATIENCE
    ):
      time.sleep(0.1)
      there = int(service.look_up(_LEFT) or 0)
  os._exit(code)


def _listen() -> None:
  """Waits for a failure of another process, or for the end of this one."""
  import jax

  while not _over.is_set():
    try:
      found = service.look_up(_FAILED, _SLICE)
    except jax.errors.JaxRuntimeError:
      found = json.dumps([0, 1, f"it is gone. {_AGAIN}"])
    if found is not None and not _over.is_set():
      number, code, said = json.loads(found)
      terminal.tell(f"process {number}: {said}")
      leave(code)


def _first_line(error: BaseException) -> str:
  return str(error).partition("\n")[0]
