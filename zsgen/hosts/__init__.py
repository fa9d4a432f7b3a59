"""Several processes of one run: their start, what they agree on, their end.

All of them run the same code from top to bottom. What is to be done once is
done by the first, process 0, and what it found is told to the others. In a run
of one process nothing here does anything.
"""

from collections.abc import Iterator
import contextlib
import itertools
import json
import pathlib
import time
from typing import TypeVar

from zsgen import config, errors, terminal
from zsgen.hosts import failures, service
from zsgen.hosts.failures import leave, told
from zsgen.hosts.joining import start
from zsgen.hosts.service import index, is_first, look_up, publish, several

__all__ = [
    "console",
    "index",
    "is_first",
    "leave",
    "look_up",
    "of_first",
    "publish",
    "see",
    "several",
    "start",
    "together",
    "told",
    "wait",
]

T = TypeVar("T")
# Seconds that a file system may take to show what another host has written.
_SHOWN = 90.0
# Agreements are numbered: all processes come to them in one sequence.
_numbers = itertools.count()


@contextlib.contextmanager
def together(asked: config.Hosts) -> Iterator[None]:
  """Joins the others; leaves with them, or tells them what went wrong.

  Args:
    asked: the section `config.machine.hosts`.

  Raises:
    InputError: see `start`.
  """
  start(asked)
  try:
    yield
  except errors.Stopped:
    wait("stopped")
    raise
  except BaseException as error:
    if several():
      failures.tell(error)
    raise
  wait("the end")


def wait(what: str) -> None:
  """Waits, for hours if it must be, until all processes are here."""
  if not several():
    return
  key = _key(what)
  if service.add_one(f"{key}/there") == service.count():
    publish(f"{key}/all", "")
  service.await_message(f"{key}/all")


def of_first(what: str, value: T) -> T:
  """Process 0's value in all processes.

  Args:
    what: names it.
    value: plain, as JSON has it; that of other processes is not looked at.
  """
  if not several():
    return value
  key = _key(what)
  if is_first():
    publish(key, json.dumps(value))
  return json.loads(service.await_message(key))


def see(path: pathlib.Path) -> None:
  """Waits until this process sees what process 0 has written.

  Raises:
    InputError: it does not: the file system is not one that all share.
  """
  begin = time.monotonic()
  while not path.exists():
    if time.monotonic() - begin > _SHOWN:
      raise errors.InputError(
          f"process {index()} does not see {path}, which process 0 has"
          " written: --workdir must be on a file system that all hosts share."
      )
    time.sleep(0.1)


def console() -> terminal.Console:
  """Where lines for people go: stderr, of process 0 only."""
  return terminal.Console(stderr=True, quiet=not is_first())


def _key(what: str) -> str:
  return f"zsgen/{next(_numbers)}/{what}"
