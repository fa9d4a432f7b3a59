"""SIGTERM ends training at a step that all processes agree on.

A cloud sends it when it takes a machine away, perhaps to one host of many and
to each at another moment. What is saved then is a checkpoint like any other,
so that a run that was stopped leaves the bytes of one that was not.
"""

import signal
import threading
from typing import Any

from zsgen.core import hosts

# Steps that a process may be ahead of another one when the step to stop at is
# named. The loop fetches what a step before the last one found before it asks
# again, and nobody can find it without all others: 2 would do.
_AHEAD = 4


class Stopping:
  """Hears SIGTERM, from `listen` on.

  Use as a context manager; leaving puts the handler before it back.

  Args:
    name: the name of the run, the same in all processes.
  """

  def __init__(self, name: str):
    self._key = f"zsgen/stop/{name}"
    self._is_requested = False
    self._before: Any = None

  def __enter__(self) -> "Stopping":
    return self

  def __exit__(self, *_: Any) -> None:
    if self._before is not None:
      signal.signal(signal.SIGTERM, self._before)

  def listen(self) -> None:
    """Handles SIGTERM from now on; outside the main thread, does nothing."""
    hosts.move(first=True)
    if threading.current_thread() is threading.main_thread():
      self._before = signal.signal(signal.SIGTERM, self._request)

  def reached(self, step: int) -> bool:
    """Returns whether to stop before this step: the same in all processes.

    Args:
      step: each step once, ascending.
    """
    if not hosts.is_distributed():
      return self._is_requested
    hosts.move()
    if self._is_requested:
      # The first one to name a step is heard by all before it.
      hosts.publish(self._key, str(step + _AHEAD))
    last_step = hosts.look_up(self._key)
    return last_step is not None and step >= int(last_step)

  def _request(self, *_: Any) -> None:
    self._is_requested = True


def describe_stop(step: int, steps: int) -> str:
  """Returns the message about a run that has stopped."""
  return (
      f"stopped before step {step} of {steps}, on SIGTERM; it is saved:"
      " resume with the same command."
  )
