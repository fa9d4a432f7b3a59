"""Several processes of one run: their start, what they agree on, their end.

All of them run the same code from top to bottom. What is to be done once is
done by the first, process 0, and what it found is told to the others. In a run
of one process nothing here does anything.
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

from zsgen import config, errors, schema, terminal
from zsgen.hosts import agreement, facts, failures, service
from zsgen.hosts.failures import leave, told
from zsgen.hosts.joining import start
from zsgen.hosts.service import index, is_first, look_up, publish, several
from zsgen.hosts.signals import move, moves

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
  """Joins the others; leaves with them, or tells them what went wrong.

  Args:
    configs: of the run; of the members of a population. The first one says
      where the other processes are.
    workdir: where artifacts go.
    stages: that are asked for.

  Raises:
    InputError: see `joining.start`.
  """
  collect = functools.partial(facts.collect, configs, workdir, stages)
  left = start(configs[0].machine.hosts, collect)
  try:
    if left is not None:
      agreement.compare(_key("start"), left)
    yield
  except errors.Stopped:
    wait("stopped")
    raise
  except agreement.Disagreement:
    raise  # By all.
  except BaseException as error:
    if several():
      failures.tell(error)
    raise
  wait("the end")


def agree(what: str, values: Mapping[str, Any]) -> None:
  """Compares what each process has read or computed by itself.

  All processes must call it. In a run of one process nothing is compared.

  Args:
    what: names it.
    values: plain, as JSON has them, by the names that a message gives them;
      nested ones are compared one by one.

  Raises:
    InputError: they differ; the same message in all processes.
  """
  if several():
    flat = {}
    for name, value in values.items():
      flat |= schema.shared_fields(value, name)
    found = {name: agreement.fact(value) for name, value in flat.items()}
    agreement.compare(_key(what), found)


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
