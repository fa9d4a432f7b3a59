"""How the processes of a run find each other."""

from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import faulthandler
import os
import re
import signal
import threading
from typing import TYPE_CHECKING
import warnings

from zsgen.core import config, errors, terminal
from zsgen.core.hosts import (
    addresses,
    agreement,
    failures,
    meeting,
    service,
    signals,
)

if TYPE_CHECKING:
  from jax._src import clusters

# Seconds without a sign of life after which jax ends all other processes.
_HEARTBEAT = 30
# Seconds to wait for the others by default, so that a wrong address is reported
# within a minute, while a cluster may start its processes minutes apart.
_WAIT, _CLUSTER_WAIT = 45, 300
# Seconds that jax may take to start once all processes have connected.
_MET = 60.0
# Seconds after our own timeout until jax aborts.
_LATER = 60.0
_MOST = 65_536
_COORDINATOR = "config.machine.hosts.coordinator (JAX_COORDINATOR_ADDRESS)"
# Options of config.machine.hosts and the corresponding variables.
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
  """What is known about this run's processes before jax starts.

  Attributes:
    address: the address of process 0; None if jax gets it from a cluster.
    count: the number of processes.
    index: the number of this process.
    found: whether a cluster provides something that was not given.
  """

  address: addresses.Address | None
  count: int
  index: int
  found: bool


def start(
    asked: config.Hosts, collect: Callable[[], agreement.Facts]
) -> agreement.Facts | None:
  """Joins the other processes, unless there is one or they have joined.

  The config's options go first, then variables of the environment, then what
  jax finds by itself: a TPU pod, SLURM, Open MPI, Kubernetes.

  Args:
    asked: the section `config.machine.hosts`.
    collect: returns what all processes must have in common.

  Returns:
    Facts that must still be compared; None if there are none.

  Raises:
    InputError: options are missing, other processes cannot be reached, or the
      processes differ.
  """
  import jax

  if not jax.distributed.is_initialized():
    place = _place(asked)
    if place is None:
      return None
    facts = collect()
    wait = asked.wait or (_WAIT if place.address else _CLUSTER_WAIT)
    with signals.joining():
      if place.address:
        meeting.meet(place.address, place.count, place.index, facts, wait)
      _start_jax(place, wait)
    failures.watch()
    return None if place.address else facts
  if not service.several():
    return None
  failures.watch()
  return collect()


def _place(asked: config.Hosts) -> Place | None:
  """Returns the place of this process; None if it is the only one."""
  known = {name: _option(asked, name) for name in _VARIABLES}
  count, index = known["count"], known["index"]
  if None not in (count, index) and index >= count:
    raise errors.InputError(
        f"{_HELP}; index is {index}, which is not one of 0 to {count - 1}."
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


def _cluster() -> "type[clusters.ClusterEnv] | None":
  """Returns the cluster that jax finds by itself, or None."""
  from jax._src import clusters  # What jax's own start looks at.

  with warnings.catch_warnings():
    # In a container on Kubernetes, of a package that is not there.
    warnings.simplefilter("ignore")
    for cluster in clusters.ClusterEnv._cluster_types:
      if not cluster.opt_in_only_method and cluster.is_env_present():
        return cluster
  return None


def _number(cluster: "type[clusters.ClusterEnv]", name: str) -> int:
  """Returns the count of processes, or this one's index, of a cluster."""
  try:
    if name == "count":
      return cluster.get_process_count()
    return cluster.get_process_id()
  except Exception as error:  # Each cluster has its own.
    raise errors.InputError(
        f"{cluster.__name__}, which jax finds here, does not provide the {name}"
        f" of processes ({error}). For one process, set"
        f" config.machine.hosts.count=1. For several, {_HELP}."
    ) from error


def _start_jax(place: Place, wait: float) -> None:
  """Starts jax's service, and keeps the handlers of signals.

  Args:
    place: the place of this process.
    wait: seconds to wait for the others if they have not connected before.
  """
  import jax

  before = signal.getsignal(signal.SIGTERM)
  # Stacks of all threads would hide the reason of an abort of jax.
  faulthandler.disable()
  limit = _MET if place.address else wait
  try:
    with _ended_after(limit, place):
      jax.distributed.initialize(
          coordinator_address=place.address and str(place.address),
          num_processes=place.count,
          process_id=place.index,
          cluster_detection_method=None if place.found else "deactivate",
          # Later than our own timeout, because jax aborts.
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
  """Ends the process with a message if this context takes longer.

  The code in this context cannot be interrupted, and aborts after its own
  timeout.
  """
  over = threading.Event()

  def watch() -> None:
    if over.wait(seconds):
      return
    where = place.address or "the address that the cluster gives"
    terminal.tell(
        f"process {place.index} of {place.count} did not find the others at"
        f" {where} within {seconds:g} seconds (config.machine.hosts.wait)."
        " Start all processes, and make sure that each can reach process 0."
    )
    os._exit(2)

  threading.Thread(target=watch, daemon=True).start()
  try:
    yield
  finally:
    over.set()
