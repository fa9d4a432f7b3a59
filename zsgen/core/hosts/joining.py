"""Lets the processes of a run find each other."""

from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import faulthandler
import os
import re
import signal
import threading
from typing import TYPE_CHECKING

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
  from zsgen.core import jax_internals

# Seconds without a sign of life after which jax ends all other processes.
_HEARTBEAT = 30
# Seconds to wait for the others by default, so that a wrong address is reported
# within a minute, while a cluster may start its processes minutes apart.
_WAIT, _CLUSTER_WAIT = 45, 300
# Seconds that jax may take to start once all processes have connected.
_START_TIMEOUT = 60.0
# Seconds after our own timeout until jax aborts.
_ABORT_DELAY = 60.0
_MOST_PROCESSES = 65_536
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
class Membership:
  """What is known about this run's processes before jax starts.

  Attributes:
    address: the address of process 0; None if jax gets it from a cluster.
    count: the number of processes.
    index: the number of this process.
    is_detected: whether a cluster provides something that is not configured.
  """

  address: addresses.Address | None
  count: int
  index: int
  is_detected: bool


def start(
    options: config.Hosts, collect: Callable[[], agreement.Facts]
) -> agreement.Facts | None:
  """Joins the other processes, unless there is one or they have joined.

  The config's options go first, then variables of the environment, then what
  jax finds by itself: a TPU pod, SLURM, Open MPI, Kubernetes.

  Args:
    options: the section `config.machine.hosts`.
    collect: returns what all processes must have in common.

  Returns:
    Facts that must still be compared; None if there are none.

  Raises:
    InputError: options are missing, other processes cannot be reached, or the
      processes differ.
  """
  import jax

  if not jax.distributed.is_initialized():
    membership = _find_membership(options)
    if membership is None:
      return None
    facts = collect()
    wait = options.wait or (_WAIT if membership.address else _CLUSTER_WAIT)
    with signals.joining():
      if membership.address:
        meeting.meet(
            membership.address, membership.count, membership.index, facts, wait
        )
      _start_jax(membership, wait)
    failures.watch()
    return None if membership.address else facts
  if not service.is_distributed():
    return None
  failures.watch()
  return collect()


def is_single(options: config.Hosts) -> bool:
  """Returns whether this process is the only one of its run.

  Args:
    options: the section `config.machine.hosts`.

  Raises:
    InputError: some of the options are missing.
  """
  return _find_membership(options) is None


def _find_membership(options: config.Hosts) -> Membership | None:
  """Returns the membership of this process; None if it is the only one."""
  from zsgen.core import jax_internals

  coordinator = _address_option(options)
  count = _number_option(options, "count")
  index = _number_option(options, "index")
  values = {"coordinator": coordinator, "count": count, "index": index}
  if count is not None and index is not None and index >= count:
    raise errors.InputError(
        f"{_HELP}; index is {index}, which is not one of 0 to {count - 1}."
    )
  if count == 1:
    return None
  missing = [name for name, value in values.items() if value is None]
  cluster = jax_internals.find_cluster() if missing else None
  if missing and (cluster is None or _number(cluster, "count") == 1):
    if len(missing) == len(values):
      return None
    raise errors.InputError(f"{_HELP}; missing: {', '.join(missing)}.")
  address = None
  if coordinator:
    address = addresses.parse(coordinator, _COORDINATOR)
  if cluster is not None:
    count = _number(cluster, "count") if count is None else count
    index = _number(cluster, "index") if index is None else index
  assert count is not None, "a cluster provides what is missing"
  assert index is not None, "a cluster provides what is missing"
  return Membership(
      address=address,
      count=count,
      index=index,
      is_detected=bool(missing),
  )


def _address_option(options: config.Hosts) -> str | None:
  """Returns the coordinator of the config or its variable, or None."""
  if options.coordinator != config.Hosts().coordinator:
    return options.coordinator
  return os.environ.get(_VARIABLES["coordinator"]) or None


def _number_option(options: config.Hosts, name: str) -> int | None:
  """Returns an option of the config or its variable; None if neither is set."""
  value = getattr(options, name)
  if value != getattr(config.Hosts(), name):
    return value
  variable = _VARIABLES[name]
  text = os.environ.get(variable, "")
  if not text:
    return None
  least = 1 if name == "count" else 0
  if (
      not re.fullmatch("[0-9]{1,9}", text)
      or not least <= int(text) <= _MOST_PROCESSES
  ):
    raise errors.InputError(
        f"{variable} is {text[:80]!r}; it must be a number from {least} to"
        f" {_MOST_PROCESSES}."
    )
  return int(text)


def _number(cluster: "type[jax_internals.ClusterEnv]", name: str) -> int:
  """Returns the count of processes, or this one's index, of a cluster."""
  try:
    if name == "count":
      return cluster.get_process_count()
    return cluster.get_process_id()
  except Exception as error:  # Each cluster raises its own.
    raise errors.InputError(
        f"{cluster.__name__}, which jax finds here, does not provide the {name}"
        f" of processes ({error}). For one process, set"
        f" config.machine.hosts.count=1. For several, {_HELP}."
    ) from error


def _start_jax(membership: Membership, wait: float) -> None:
  """Starts jax's service, and keeps the handlers of signals.

  Args:
    membership: the membership of this process.
    wait: seconds to wait for the others if they have not connected before.
  """
  import jax

  handler = signal.getsignal(signal.SIGTERM)
  # Stacks of all threads would hide the reason of an abort of jax.
  faulthandler.disable()
  limit = _START_TIMEOUT if membership.address else wait
  try:
    with _ended_after(limit, membership):
      jax.distributed.initialize(
          coordinator_address=membership.address and str(membership.address),
          num_processes=membership.count,
          process_id=membership.index,
          cluster_detection_method=None
          if membership.is_detected
          else "deactivate",
          # Later than our own timeout, because jax aborts.
          initialization_timeout=int(limit + _ABORT_DELAY),
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
    signal.signal(signal.SIGTERM, handler)  # jax installs its own.


@contextlib.contextmanager
def _ended_after(seconds: float, membership: Membership) -> Iterator[None]:
  """Ends the process with a message if this context takes longer.

  The code in this context cannot be interrupted, and aborts after its own
  timeout.
  """
  is_over = threading.Event()

  def watch() -> None:
    """Reports after `seconds` that the other processes were not found."""
    if is_over.wait(seconds):
      return
    address = membership.address or "the address that the cluster gives"
    terminal.print_message(
        f"process {membership.index} of {membership.count} did not find the others at"
        f" {address} within {seconds:g} seconds (config.machine.hosts.wait)."
        " Start all processes, and make sure that each can reach process 0."
    )
    os._exit(2)

  threading.Thread(target=watch, daemon=True).start()
  try:
    yield
  finally:
    is_over.set()
