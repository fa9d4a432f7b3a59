"""What a plan is for: devices that are here, a TPU topology, or a lone chip.

Programs are compiled for a TPU topology by libtpu alone, without a TPU. For
other chips that are not here nothing can be compiled: the first device that is
here stands in for one, so that shapes have a place.
"""

import os
from typing import NamedTuple

import jax
from jax.experimental import topologies

from zsgen.core import chips, errors

# Families that libtpu knows, with the fewest chips of a host.
_FAMILIES = {
    "v4": "2x2x1",
    "v5e": "2x2",
    "v5p": "2x2x1",
    "v6e": "2x2",
    "tpu7x": "2x2x1",
}
# Both cores of a chip as one device, which has all of its memory.
_WHOLE = {"v4": "megacore", "v5p": "megacore"}
_EXAMPLE = "v5e:4x4"


class Place(NamedTuple):
  """Where a program would run.

  Attributes:
    name: for people.
    devices: what programs are compiled for.
    chip: what each device can do; None where the table has none.
    compiles: whether programs can be compiled for it.
  """

  name: str
  devices: list[jax.Device]
  chip: chips.Chip | None
  compiles: bool


def of(name: str) -> Place:
  """The place of `config.plan.topology`.

  Args:
    name: "" for the devices that are here, a TPU topology such as "v5e:4x4",
      or a chip of zsgen/core/chips.py such as "H200 SXM".

  Raises:
    InputError: a name that is not known, or libtpu is not installed.
  """
  if not name:
    devices = jax.devices()
    chip = chips.of(devices[0].device_kind)
    said = f"{len(devices)} x {devices[0].device_kind}"
    return Place(said, devices, chip, compiles=True)
  # Nothing here computes: accelerators are left to those who need them.
  jax.config.update("jax_platforms", "cpu")
  if ":" in name:
    devices = _tpu(name)
    return Place(name, devices, chips.of(devices[0].device_kind), compiles=True)
  chip = errors.choose(_alone(), name, "config.plan.topology")
  return Place(f"1 x {name}", jax.devices()[:1], chip, compiles=False)


def _alone() -> dict[str, chips.Chip | None]:
  """Chips that stand alone by name, and TPU topologies, which do not."""
  known = {
      chip.name: chip for chip in chips.CHIPS if not chip.name.startswith("TPU")
  }
  return known | dict.fromkeys(map(_smallest, _FAMILIES))


def _smallest(family: str) -> str:
  return f"{family}:{_FAMILIES[family]}"


def _tpu(name: str) -> list[jax.Device]:
  """Devices of a TPU topology, to compile for."""
  family, _, shape = name.partition(":")
  if family not in _FAMILIES or not shape:
    raise errors.InputError(_unknown(name))
  # There is no TPU to ask, and none that another process could hold.
  os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
  os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
  options = {"chip_config_name": _WHOLE[family]} if family in _WHOLE else {}
  if set(shape) <= set("1x"):
    options["chips_per_host_bounds"] = (1, 1, 1)
  try:
    found = topologies.get_topology_desc(
        topology_name=name, platform="tpu", **options
    )
  except jax.errors.JaxRuntimeError as error:
    raise errors.InputError(f"{_unknown(name)} libtpu says: {error}") from error
  except (ImportError, RuntimeError, ValueError) as error:
    raise errors.InputError(
        f"config.plan.topology is {name!r}, which needs libtpu, and that is not"
        f" installed ({error}): pip install 'zsgen[tpu]' in an environment of"
        " its own, or make tpu-check."
    ) from error
  return list(found.devices)


def _unknown(name: str) -> str:
  smallest = ", ".join(map(_smallest, _FAMILIES))
  return (
      f"config.plan.topology is {name!r}, which is no TPU topology. Write a"
      f" family and its chips, such as {_EXAMPLE}; the smallest of each family"
      f" are {smallest}."
  )
