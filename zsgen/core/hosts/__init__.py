"""Coordinates the processes of a run: start, agreement and end.

All processes run the same code from top to bottom. Process 0 does what must be
done once, and sends the result to the others. In a run of one process, these
functions do nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import functools
import itertools
import json
import os
import pathlib
import time
from typing import Any, TypeVar

from zsgen.core import config, errors, schema, terminal
from zsgen.core.hosts import agreement, facts, failures, service
from zsgen.core.hosts.failures import leave, told
from zsgen.core.hosts.joining import start
from zsgen.core.hosts.service import index, is_first, look_up, publish, several
from zsgen.core.hosts.signals import move, moves

__all__ = [
    "agree",
    "console",
    "index",
    "is_first",
    "leave",
    "look_up",
    "move",
    "moves",
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
def together(
    configs: Sequence[config.Config],
    workdir: str | os.PathLike,
    stages: Sequence[str],
) -> Iterator[None]:
  """Joins the other processes, and leaves with them or reports the error.

  Args:
    configs: the config of the run, or of each member of a population. The first
      one has the addresses.
    workdir: the directory for artifacts.
    stages: the stages to run.

  Raises:
    InputError: see `joining.start`.
  """
  collect = functools.partial(facts.collect, configs, workdir, stages)
  uncompared = start(configs[0].machine.hosts, collect)
  try:
    if uncompared is not None:
      agreement.compare(_key("start"), uncompared)
    yield
  except errors.Stopped:
    wait("stopped")
    raise
  except agreement.Disagreement:
    raise  # In all processes.
  except BaseException as error:
    if several():
      failures.tell(error)
    raise
  wait("the end")


def agree(what: str, values: Mapping[str, Any]) -> None:
  """Compares values that each process has read or computed by itself.

  All processes must call it. In a run of one process nothing is compared.

  Args:
    what: a name for this comparison.
    values: JSON values by the names that messages use; nested values are
      compared one by one.

  Raises:
    InputError: the values differ; all processes raise the same message.
  """
  if several():
    flat = {}
    for name, value in values.items():
      flat |= schema.shared_fields(value, name)
    described = {name: agreement.fact(value) for name, value in flat.items()}
    agreement.compare(_key(what), described)


def wait(what: str) -> None:
  """Waits until all processes have called this, for hours if need be."""
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
    InputError: it does not, so the file system is not shared.
  """
  begin = time.monotonic()
  while not path.exists():
    if time.monotonic() - begin > _SHOWN:
      raise errors.InputError(
          f"process {index()} does not see {path}, which process 0 has"
          " written. --workdir must be on a file system that all hosts share."
      )
    time.sleep(0.1)


def console() -> terminal.Console:
  """Returns a console on stderr, which prints in process 0 only."""
  return terminal.Console(stderr=True, quiet=not is_first())


def _key(what: str) -> str:
  return f"zsgen/{next(_numbers)}/{what}"
