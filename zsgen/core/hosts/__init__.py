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

from zsgen.core import artifacts, config, cpu_devices, errors, schema, terminal
from zsgen.core.hosts import agreement, facts, failures, service
from zsgen.core.hosts.failures import describe_loss, leave
from zsgen.core.hosts.joining import is_single, start
from zsgen.core.hosts.service import (
    count,
    index,
    is_distributed,
    is_first,
    look_up,
    publish,
)
from zsgen.core.hosts.signals import move, moves

__all__ = [
    "agree",
    "await_file",
    "broadcast",
    "console",
    "count",
    "describe_loss",
    "index",
    "is_distributed",
    "is_first",
    "is_single",
    "joined",
    "leave",
    "look_up",
    "move",
    "moves",
    "publish",
    "start",
    "wait",
]

T = TypeVar("T")
# Seconds that a file system may take to show what another host has written.
_FILE_TIMEOUT = 90.0
# Agreements are numbered: all processes come to them in one sequence.
_numbers = itertools.count()


@contextlib.contextmanager
def joined(
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
  cpu_devices.reserve_threads()
  collect = functools.partial(facts.collect, configs, workdir, stages)
  facts_to_compare = start(configs[0].machine.hosts, collect)
  try:
    if facts_to_compare is not None:
      agreement.compare(_key("start"), facts_to_compare)
    yield
  except errors.Stopped:
    wait("stopped")
    raise
  except agreement.Disagreement:
    raise  # In all processes.
  except BaseException as error:
    if is_distributed():
      failures.notify_others(error)
    raise
  wait("the end")


def agree(topic: str, values: Mapping[str, Any]) -> None:
  """Compares values that each process has read or computed by itself.

  All processes must call it. In a run of one process nothing is compared.

  Args:
    topic: a name for this comparison.
    values: JSON values by the names that messages use; nested values are
      compared one by one.

  Raises:
    InputError: the values differ; all processes raise the same message.
  """
  if is_distributed():
    flat = {}
    for name, value in values.items():
      flat |= schema.shared_fields(value, name)
    facts_by_name = {
        name: agreement.fact(value) for name, value in flat.items()
    }
    agreement.compare(_key(topic), facts_by_name)


def wait(topic: str) -> None:
  """Waits until all processes have called this, for hours if necessary."""
  if not is_distributed():
    return
  key = _key(topic)
  if service.add_one(f"{key}/there") == service.count():
    publish(f"{key}/all", "")
  service.await_message(f"{key}/all")


def broadcast(topic: str, value: T) -> T:
  """Returns the value of process 0 in all processes.

  Args:
    topic: a name for the value.
    value: a JSON value; the values of other processes are ignored.
  """
  if not is_distributed():
    return value
  key = _key(topic)
  if is_first():
    publish(key, json.dumps(value))
  return json.loads(service.await_message(key))


def await_file(path: pathlib.Path) -> None:
  """Waits until this process can see a file that process 0 has written.

  Raises:
    InputError: the file does not appear, so the file system is not shared.
  """
  begin = time.monotonic()
  while not artifacts.exists(path):
    if time.monotonic() - begin > _FILE_TIMEOUT:
      raise errors.InputError(
          f"process {index()} cannot see {path}, which process 0 has"
          " written. --workdir must be on a file system that all hosts share."
      )
    time.sleep(0.1)


def console() -> terminal.Console:
  """Returns a console on stderr, which prints in process 0 only."""
  return terminal.Console(stderr=True, quiet=not is_first())


def _key(topic: str) -> str:
  return f"zsgen/{next(_numbers)}/{topic}"
