"""Ends all processes, with a message, when one of them fails.

Otherwise the others would wait in a collective operation, or for each other
when they exit. So a failing process notifies the others, and a thread in every
process listens. A killed process sends nothing: its connections break, which
ends a collective on the CPU, or jax misses its heartbeat and ends the others
with its own message.
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
# Seconds within which a message is received.
_SLICE = 1.0
# Seconds that process 0, which serves the messages, waits for others to leave.
_PATIENCE = 5.0
# Seconds that the others get for their exit after they have been counted: jax
# aborts a process that outlives process 0.
_GRACE = 0.5
# Words in errors of libraries when the connection to another process breaks.
_BROKEN = (
    "Connection closed by peer",
    "Connection reset by peer",
    "Socket closed",
    "Broken pipe",
    "Gloo",
    "heartbeat",
)
_ADVICE = "Start all processes again with the same command to resume."
_is_over = threading.Event()
# Held by the thread that ends this process.
_leaving = threading.Lock()


@functools.cache
def watch() -> None:
  """Starts the thread that ends this process when another one has failed."""
  thread = threading.Thread(target=_listen, daemon=True)
  thread.start()

  def end() -> None:
    """Stops the thread, and waits until it has ended."""
    _is_over.set()
    thread.join()  # The thread must not call a service that is shut down.

  # Runs before jax's own handler because it is registered later.
  atexit.register(end)


def notify_others(error: BaseException) -> None:
  """Notifies the other processes that this one fails."""
  if _is_over.is_set():
    return
  import jax

  _is_over.set()
  code = 2 if isinstance(error, errors.InputError) else 1
  message = (
      describe_loss(error) or f"{type(error).__name__}: {_first_line(error)}"
  )
  if isinstance(error, errors.InputError | errors.Stopped):
    message = str(error)
  # If process 0 is gone, nobody can be notified.
  with contextlib.suppress(jax.errors.JaxRuntimeError):
    service.publish(_FAILED, json.dumps([service.index(), code, message]))


def describe_loss(error: BaseException) -> str:
  """Returns the message for an error caused by the loss of a process, or ""."""
  if not service.is_distributed() or not any(
      words in str(error) for words in _BROKEN
  ):
    return ""
  import jax

  # The type of the error differs between collectives.
  if not isinstance(error, jax.errors.JaxRuntimeError | ValueError):
    return ""
  return f"another process has ended ({_first_line(error)}). {_ADVICE}"


def leave(code: int) -> NoReturn:
  """Exits at once; jax's orderly exit would wait for the other processes.

  The first thread that leaves decides the code: the others' failures follow
  from it, such as that of a collective whose other processes have been
  notified.
  """
  import jax

  if not _leaving.acquire(blocking=False):
    threading.Event().wait()
  sys.stdout.flush()
  sys.stderr.flush()
  with contextlib.suppress(jax.errors.JaxRuntimeError):
    service.add_one(_LEFT)
    if service.is_first():
      _wait_for_others()
  os._exit(code)


def _wait_for_others() -> None:
  """Waits until the other processes have left, for a limited time."""
  begin = time.monotonic()
  while time.monotonic() - begin < _PATIENCE:
    if int(service.look_up(_LEFT) or 0) >= service.count():
      break
    time.sleep(0.1)
  time.sleep(_GRACE)


def _listen() -> None:
  """Waits for a failure of another process, or for the end of this one."""
  import jax

  while not _is_over.is_set():
    try:
      message = service.look_up(_FAILED, _SLICE)
    except jax.errors.JaxRuntimeError:
      message = json.dumps([0, 1, f"it has ended. {_ADVICE}"])
    if message is not None and not _is_over.is_set():
      number, code, reason = json.loads(message)
      terminal.print_message(f"process {number}: {reason}")
      leave(code)


def _first_line(error: BaseException) -> str:
  return str(error).partition("\n")[0]
