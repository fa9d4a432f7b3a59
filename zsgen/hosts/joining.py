"""How the processes of a run find each other."""

import faulthandler
import os
import signal
import threading
import warnings

import jax
from jax._src import clusters  # What jax's own start looks at.

from zsgen import config, errors
from zsgen.hosts import failures, service

# Seconds without a sign of life after which jax ends all other processes.
_HEARTBEAT = 30
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


def start(asked: config.Hosts) -> None:
  """Joins the other processes; nothing is done for one, or a second time.

  The config's options go first, then variables of the environment, then what
  jax finds by itself: a TPU pod, SLURM, Open MPI, Kubernetes.

  Args:
    asked: the section `config.machine.hosts`.

  Raises:
    InputError: what is known is not enough, or others cannot be reached.
  """
  if not jax.distributed.is_initialized():
    where = _where(asked)
    if where is None:
      return
    before = signal.getsignal(signal.SIGTERM)
    _initialize(where)
    # jax says why it aborts; stacks of all threads after it would hide that.
    faulthandler.disable()
    if threading.current_thread() is threading.main_thread():
      signal.signal(signal.SIGTERM, before)  # jax has put its own there.
  if service.several():
    failures.watch()


def _where(asked: config.Hosts) -> dict | None:
  """Arguments of jax's start; None for one process."""
  known = {name: _option(asked, name) for name in _VARIABLES}
  if known["count"] == 1:
    return None
  missing = [name for name, value in known.items() if value is None]
  if missing and _count_of_cluster() == 1:
    if len(missing) == len(known):
      return None
    raise errors.InputError(f"{_HELP}; missing: {', '.join(missing)}.")
  if not missing and known["index"] >= known["count"]:
    raise errors.InputError(
        f"{_HELP}; index is {known['index']}, which is none of"
        f" 0 to {known['count'] - 1}."
    )
  return dict(
      coordinator_address=known["coordinator"],
      num_processes=known["count"],
      process_id=known["index"],
      cluster_detection_method=None if missing else "deactivate",
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
  if not found.isdecimal():
    raise errors.InputError(f"{variable} is {found!r}; it must be a number.")
  return int(found)


def _count_of_cluster() -> int:
  """Processes that jax finds by itself; 1 where it finds nothing."""
  with warnings.catch_warnings():
    # In a container on Kubernetes, of a package that is not there.
    warnings.simplefilter("ignore")
    for cluster in clusters.ClusterEnv._cluster_types:
      if not cluster.opt_in_only_method and cluster.is_env_present():
        return _count(cluster)
  return 1


def _count(cluster: type[clusters.ClusterEnv]) -> int:
  try:
    return cluster.get_process_count()
  except Exception as error:  # Each cluster has its own.
    raise errors.InputError(
        f"{cluster.__name__}, which jax finds here, does not say how many"
        f" processes there are ({error}). One: config.machine.hosts.count=1."
        f" Several: {_HELP}."
    ) from error


def _initialize(where: dict) -> None:
  try:
    jax.distributed.initialize(**where, heartbeat_timeout_seconds=_HEARTBEAT)
  except (RuntimeError, ValueError) as error:
    line = str(error).partition("\n")[0]
    raise errors.InputError(
        f"the processes of this run do not find each other ({line}). Each must"
        " be started, with one coordinator and an index of its own, and reach"
        " the coordinator's port."
    ) from error
