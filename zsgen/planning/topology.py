"""Finds the hardware of a plan: local devices, a TPU topology or a single chip.

libtpu compiles programs for a TPU topology without a TPU. For other chips that
are not available, nothing can be compiled: the first local device takes the
place of the chip, so that shapes have a device.
"""

import os
from typing import Any, NamedTuple

import jax
from jax.experimental import topologies

from zsgen.core import chips, errors
from zsgen.core import mesh as mesh_lib

# TPU families in libtpu, with the smallest number of chips per host.
_FAMILIES = {
    "v4": "2x2x1",
    "v5e": "2x2",
    "v5p": "2x2x1",
    "v6e": "2x2",
    "tpu7x": "2x2x1",
}
# Both cores of a chip as one device, with all of its memory.
_CHIP_CONFIGS = {"v4": "megacore", "v5p": "megacore"}
_EXAMPLE = "v5e:4x4"


class Hardware(NamedTuple):
  """The hardware that a program would run on.

  Attributes:
    name: name for display.
    devices: the devices that programs are compiled for.
    chip: the chip of each device; None if the table does not have it.
    compiles: whether programs can be compiled for it.
  """

  name: str
  devices: list[mesh_lib.Device]
  chip: chips.Chip | None
  compiles: bool


def find_hardware(name: str, slices: int = 1) -> Hardware:
  """Returns the hardware of `config.plan.topology`.

  Args:
    name: "" for the local devices, a TPU topology such as "v5e:4x4", or a chip
      of zsgen/core/chips.py such as "H200 SXM".
    slices: number of slices, if it is a TPU topology.

  Raises:
    InputError: the name is unknown, or libtpu is not installed.
  """
  if not name:
    devices = jax.devices()
    chip = chips.find_chip(devices[0].device_kind)
    description = f"{len(devices)} x {devices[0].device_kind}"
    return Hardware(description, devices, chip, compiles=True)
  # Nothing is computed: leave accelerators to other processes.
  jax.config.update("jax_platforms", "cpu")
  if ":" in name:
    devices = _tpu(name, slices)
    title = f"{slices} x {name}" if slices > 1 else name
    return Hardware(
        title, devices, chips.find_chip(devices[0].device_kind), compiles=True
    )
  chip = errors.choose(_single_chips(), name, "config.plan.topology")
  return Hardware(f"1 x {name}", jax.devices()[:1], chip, compiles=False)


def _single_chips() -> dict[str, chips.Chip | None]:
  """Returns chips by name, and None for the smallest TPU topologies."""
  single = {
      chip.name: chip for chip in chips.CHIPS if not chip.name.startswith("TPU")
  }
  return single | dict.fromkeys(map(_smallest, _FAMILIES))


def _smallest(family: str) -> str:
  return f"{family}:{_FAMILIES[family]}"


def _tpu(name: str, slices: int) -> list[mesh_lib.Device]:
  """Returns the devices of TPU slices of a topology, to compile for."""
  family, _, shape = name.partition(":")
  if family not in _FAMILIES or not shape:
    raise errors.InputError(_unknown(name))
  # There is no TPU to query, and none that another process could use.
  os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
  os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
  options: dict[str, Any] = (
      {"chip_config_name": _CHIP_CONFIGS[family]}
      if family in _CHIP_CONFIGS
      else {}
  )
  if slices > 1:
    options["num_slices"] = slices
  if set(shape) <= set("1x"):
    options["chips_per_host_bounds"] = (1, 1, 1)
  try:
    description = topologies.get_topology_desc(
        topology_name=name, platform="tpu", **options
    )
  except jax.errors.JaxRuntimeError as error:
    raise errors.InputError(
        f"{_unknown(name)} libtpu reports: {error}"
    ) from error
  except (ImportError, RuntimeError, ValueError) as error:
    raise errors.InputError(
        f"config.plan.topology is {name!r}, which needs libtpu, but it is not"
        f" installed ({error}): pip install 'zsgen[tpu]' in a separate"
        " environment, or run make tpu-check."
    ) from error
  return list(description.devices)


def _unknown(name: str) -> str:
  """Returns the message about a topology that does not exist."""
  smallest = ", ".join(map(_smallest, _FAMILIES))
  return (
      f"config.plan.topology is {name!r}, which is not a TPU topology. Set a"
      f" family and its chips, such as {_EXAMPLE}; the smallest ones of each"
      f" family are {smallest}."
  )
