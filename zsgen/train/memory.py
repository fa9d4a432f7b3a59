"""Memory: how much is in use, and what to do where there is not enough."""

from collections.abc import Iterator
import contextlib
import math
import os
import pathlib
import resource
import sys
import textwrap
from typing import Any

import jax

from zsgen.core import config as config_lib
from zsgen.core import errors
from zsgen.core import mesh as mesh_lib
from zsgen.train import layouts

# A chunk of logits that is small beside everything else.
_CHUNK = 256
_MOST_REMEDIES = 3
_PROC = pathlib.Path("/proc/self/statm")


def used() -> dict[str, int]:
  """Returns the bytes in use now and at the peak, by metric.

  They are those of the fullest device of this process. If the platform counts
  none (the CPU), they are those of the process itself, as host memory.
  """
  stats = [device.memory_stats() for device in jax.local_devices()]
  if all(stats):
    name, now, peak = "device", "bytes_in_use", "peak_bytes_in_use"
    sizes = [
        max(device_stats.get(key, 0) for device_stats in stats)
        for key in (now, peak)
    ]
  else:
    name, sizes = "host", _resident()
  return {
      f"perf/{name}_memory_bytes": sizes[0],
      f"perf/{name}_memory_peak_bytes": sizes[1],
  }


def per_device(shapes: Any, shardings: Any) -> int:
  """Returns the bytes that a tree of arrays takes on each device.

  Args:
    shapes: of the arrays.
    shardings: of the same.
  """
  sizes = jax.tree.map(
      lambda leaf, sharding: math.prod(sharding.shard_shape(leaf.shape))
      * leaf.dtype.itemsize,
      shapes,
      shardings,
  )
  return sum(jax.tree.leaves(sizes))


def is_exhausted(error: Exception) -> bool:
  """Returns whether a device had too little memory."""
  return "RESOURCE_EXHAUSTED" in str(error)


@contextlib.contextmanager
def explained(
    config: config_lib.Config,
    mesh: jax.sharding.Mesh,
    shape: layouts.Shape,
    state_bytes: int,
    members: int = 1,
) -> Iterator[None]:
  """Makes an InputError of a device that is out of memory.

  Args:
    config: of the run.
    mesh: where it is computed.
    shape: the largest sizes of a step's batch.
    state_bytes: bytes of parameters and moments on each device.
    members: the number of members of the population; 1 for a single run.

  Raises:
    InputError: says what took how much, and the cheapest remedies.
  """
  try:
    yield
  except jax.errors.JaxRuntimeError as error:
    if not is_exhausted(error):
      raise
    reason = textwrap.shorten(str(error), 200)
    lines = "\n".join(
        f"  {line}" for line in remedies(config, mesh, shape, members)
    )
    raise errors.InputError(
        f"a device is out of memory ({reason}). Parameters and optimizer"
        f" moments alone take {state_bytes / 2**30:.3g} GiB of each device. The"
        f" cheapest remedies, which can be combined:\n{lines}"
    ) from error


def check_room(mesh: jax.sharding.Mesh, state_bytes: int) -> None:
  """Checks that parameters and moments fit, before they are created.

  On the CPU, allocating too much does not fail; the system kills the process
  later, when it writes to the memory.

  Args:
    mesh: the devices.
    state_bytes: bytes of parameters and moments on each device.

  Raises:
    InputError: they do not fit; the message has both sizes and what helps.
  """
  room = find_room(mesh)
  if state_bytes > room:
    raise errors.InputError(
        f"parameters and moments take {state_bytes / 2**30:,.3g} GiB of each"
        f" device, which has {room / 2**30:,.3g} GiB. Use a smaller model"
        " (config.model), adapters (config.lora.rank), or split them over more"
        " devices (config.machine.mesh.fsdp)."
    )


def find_room(mesh: jax.sharding.Mesh) -> float:
  """Returns the bytes of memory of each device; infinite if unknown."""
  local = mesh.local_devices
  stats = local[0].memory_stats() or {}
  if "bytes_limit" in stats:
    return stats["bytes_limit"]
  if local[0].platform != "cpu":
    return math.inf
  host = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
  return host / len(local)


def remedies(
    config: config_lib.Config,
    mesh: jax.sharding.Mesh,
    shape: layouts.Shape,
    members: int = 1,
) -> list[str]:
  """Lists the three cheapest options that need less memory, in order.

  Those that change no result come first, by the time that they cost: chunks
  next to none, splitting parameters some communication, micro-batches some
  padding and smaller products, full remat a third of the FLOPs.

  Args:
    config: of the run; what it does already is left out.
    mesh: where it is computed.
    shape: the largest sizes of a step's batch.
    members: the number of members of the population; 1 for a single run.
  """
  machine, train = config.machine, config.train
  logits = min(machine.logits_chunk or shape.loss_slots, shape.loss_slots)
  parts = 2 * machine.micro_batches
  changed = " (another run: results differ)"
  split = parts * mesh_lib.row_shards(mesh) <= shape.rows
  half = train.batch_size // 2
  fewer = members // 2
  fewer = 1 if fewer % mesh.shape["data"] else fewer
  known = [
      (members > 1, f"--config.population={fewer}"),
      (logits > _CHUNK, f"--config.machine.logits_chunk={_CHUNK}"),
      (
          mesh.shape["data"] > machine.mesh.dcn_data,
          "--config.machine.mesh.data=1 --config.machine.mesh.fsdp=-1",
      ),
      (split, f"--config.machine.micro_batches={parts}"),
      (machine.remat != "full", "--config.machine.remat=full"),
      (
          config.model.dtype != "bfloat16",
          f"--config.model.dtype=bfloat16{changed}",
      ),
      (
          train.first_moment != "bfloat16",
          f"--config.train.first_moment=bfloat16{changed}",
      ),
      (not config.lora.rank, f"--config.lora.rank=8{changed}"),
      (half > 0, f"--config.train.batch_size={half}{changed}"),
  ]
  return [line for helps, line in known if helps][:_MOST_REMEDIES]


def _resident() -> tuple[int, int]:
  """Resident bytes of this process, now and at the most."""
  unit = 1 if sys.platform == "darwin" else 1024
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
  try:
    pages = int(_PROC.read_text().split()[1])
  except FileNotFoundError:  # Not Linux.
    return peak, peak
  return pages * resource.getpagesize(), peak
