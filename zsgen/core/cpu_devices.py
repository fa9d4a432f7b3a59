"""Gives XLA enough threads for several CPU devices in one process."""

from collections.abc import MutableMapping
import os
import re

_COUNT = re.compile(r"--xla_force_host_platform_device_count=(\d+)")
# A collective blocks one thread per device until all devices are in it, and
# other programs in flight (evaluations, copies of a checkpoint) hold as many.
_PROGRAMS_IN_FLIGHT = 8


def reserve_threads(environment: MutableMapping[str, str] = os.environ) -> None:
  """Sets NPROC, the size of XLA's thread pools, if XLA_FLAGS splits the CPU.

  By default, the pool has one thread per device. If another program holds one
  of them, a collective never gets all of its devices, and XLA ends the process
  after 40 seconds. It takes effect before JAX's first use of a device. NPROC
  remains as it is if it is set.

  Args:
    environment: the variables to read and change.
  """
  count = _COUNT.search(environment.get("XLA_FLAGS", ""))
  if count and int(count[1]) > 1:
    threads = _PROGRAMS_IN_FLIGHT * int(count[1])
    environment.setdefault("NPROC", str(max(threads, os.cpu_count() or 1)))
