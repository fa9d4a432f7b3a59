"""How the processes of a run find each other."""

from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import faulthandler
import os
import re
import signal
import threading
import warnings

import jax
from jax._src import clusters  # What jax's own start looks at.

from zsgen import config, errors, terminal
from zsgen.hosts import (
    addresses,
    agreement,
    failures,
    meeting,
    service,
    signals,
)

# Seconds without a sign of life after which jax ends all other processes.
_HEARTBEAT = 30
# Seconds that jax may take to start when all processes have met.
_MET = 60.0
# Seconds after our own end of waiting at which jax would abort.
_LATER = 60.0
_MOST = 65_536
_COORDINATOR = "config.machine.hosts.coordinator (JAX_COORDINATOR_ADDRESS)"
# Each option of config.machine.hosts, and the variable that says the same.
_VARIABLES = {
    "coordinator": "JAX_COORDINATOR_ADDRESS",
    "count": "JAX_NUM_PROCESSES",
    "index": "JAX_PROCESS_ID",
}
_HELP = (
    "config.machine.hosts needs coordinator='HOST:PORT' (of process 0), count"
    " and index, or the variables"
    f" {', '.join(_VARIABLES.values())}"
)


@dataclasses.dataclass(frozen=True)
class Place:
  """What is known of this run's processes before jax starts.

  Attributes:
    address: of process 0; None where a cluster says it to jax.
    count: processes.
    index: the number of this one.
    found: whether a cluster says something that was not given.
  """

  address: addresses.Address | None
  count: int
  index: int
  found: bool


def start(
    asked: config.Hosts, collect: Callable[[], agreement.Facts]
) -> agreement.Facts | None:
  """Joins the other processes; nothing is done for one, or a second time.

  The config's options go first, then variables of the environment, then what
  jax finds by itself: a TPU pod, SLURM, Open MPI, Kubernetes.

  Args:
    asked: the section `config.machine.hosts`.
    collect: gives what all processes must have in common.

  Returns:
    Facts that are still to be compared; None if there are none.

  Raises:
    InputError: what is known is not enough, others cannot be reached, or the
      processes differ.
  """
  if not jax.distributed.is_initialized():
    place = _place(asked)
    if place is None:
      return None
    facts = collect()
    with signals.joining():
      if place.address:
        meeting.meet(place.address, place.count, place.index, facts, asked.wait)
      _start_jax(place, asked.wait)
    failures.watch()
    return None if place.address else facts
  if not service.several():
    return None
  failures.watch()
  return collect()


def _place(asked: config.Hosts) -> Place | None:
  """Where this process is; None for one process."""
  known = {name: _option(asked, name) for name in _VARIABLES}
  count, index = known["count"], known["index"]
  if None not in (count, index) and index >= count:
    raise errors.InputError(
        f"{_HELP}; index is {index}, which is none of 0 to {count - 1}."
    )
  if count == 1:
    return None
  missing = [name for name, value in known.items() if value is None]
  cluster = _cluster() if missing else None
  if missing and (cluster is None or _number(cluster, "count") == 1):
    if len(missing) == len(known):
      return None
    raise errors.InputError(f"{_HELP}; missing: {', '.join(missing)}.")
  address = None
  if known["coordinator"]:
    address = addresses.parse(known["coordinator"], _COORDINATOR)
  return Place(
      address=address,
      count=_number(cluster, "count") if count is None else count,
      index=_number(cluster, "index") if index is None else index,
      found=bool(missing),
  )


def _option(asked: config.Hosts, name: str) -> str | int | None:
  """An option of the config, or its variable; None where neither is set."""
  value = getattr(asked, name)
  if value != getattr(config.Hosts(), name):
    return value
  variable = _VARIABLES[name]
  found = os.environ.get(variable, "")
  if not found:
    return None
  if name == "coordinator":
    return found
  low = 1 if name == "count" else 0
  if not re.fullmatch("[0-9]{1,9}", found) or not low <= int(found) <= _MOST:
    raise errors.InputError(
        f"{variable} is {found[:80]!r}; it must be a number from {low} to"
        f" {_MOST}."
    )
  return int(found)


def _cluster() -> type[clusters.ClusterEnv] | None:
  """What jax finds by itself; None where it finds nothing."""
  with warnings.catch_warnings():
    # In a container on Kubernetes, of a package that is not there.
    warnings.simplefilter("ignore")
    for cluster in clusters.ClusterEnv._cluster_types:
      if not cluster.opt_in_only_method and cluster.is_env_present():
        return cluster
  return None


def _number(cluster: type[clusters.ClusterEnv], name: str) -> int:
  """The count of processes, or the index of this one, that a cluster says."""
  try:
    if name == "count":
      return cluster.get_process_count()
    return cluster.get_process_id()
  except Exception as error:  # Each cluster has its own.
    raise errors.InputError(
        f"{cluster.__name__}, which jax finds here, does not say the {name} of"
        f" processes ({error}). One: config.machine.hosts.count=1. Several:"
        f" {_HELP}."
    ) from error


def _start_jax(place: Place, wait: float) -> None:
  """Starts jax's service; handlers of signals stay what they are.

  Args:
    place: of this process.
    wait: seconds until all have joined, where they have not met.
  """
  before = signal.getsignal(signal.SIGTERM)
  # An abort of jax says why; stacks of all threads after it would hide that.
  faulthandler.disable()
  limit = _MET if place.address else wait
  try:
    with _ended_after(limit, place):
      jax.distributed.initialize(
          coordinator_address=place.address and str(place.address),
          num_processes=place.count,
          process_id=place.index,
          cluster_detection_method=None if place.found else "deactivate",
          # Later than our own end of waiting: jax would abort.
          initialization_timeout=int(limit + _LATER),
          heartbeat_timeout_seconds=_HEARTBEAT,
      )
  except (RuntimeError, ValueError) as error:
    line = str(error).partition("\n")[0]
    raise errors.InputError(
        f"the processes of this run do not find each other ({line}). Each must"
        " be started, with one coordinator and an index of its own, and reach"
        " the coordinator's port."
    ) from error
  if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGTERM, before)  # jax has put its own there.


@contextlib.contextmanager
def _ended_after(seconds: float, place: Place) -> Iterator[None]:
  """Ends the process with a message if this takes longer.

  What runs here cannot be interrupted, and aborts after its own time.
  """
  over = threading.Event()

  def watch() -> None:
    if over.wait(seconds):
      return
    where = place.address or "the address that the cluster gives"
    terminal.tell(
        f"process {place.index} of {place.count} does not find the"
        f" others at {where} within {seconds:g} seconds. Start all processes,"
        " and see that all reach process 0; config.machine.hosts.wait is the"
        " time that they have."
    )
    os._exit(2)

  threading.Thread(target=watch, daemon=True).start()
  try:
    yield
  finally:
    over.set()
