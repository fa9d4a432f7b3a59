"""Slices: devices with a fast network between them, and a slow one to others.

They are TPU slices, machines with GPUs or, if devices name neither, processes.
The fast network is ICI or NVLink, the slow one DCN, that of the data center.
"""

from collections.abc import Sequence
import math
from typing import Any, TypeAlias

from jax.experimental import mesh_utils
import numpy as np

from zsgen.core import config, errors

Device: TypeAlias = Any

_SLICE, _PROCESS = "slice_index", "process_index"


def sizes(shape: config.Mesh, axes: Sequence[str]) -> tuple[int, ...]:
  """Returns the number of slices along each axis of a mesh."""
  return tuple(getattr(shape, f"dcn_{axis}", 1) for axis in axes)


def count(shape: config.Mesh) -> int:
  """Returns the number of slices of a mesh."""
  return shape.dcn_data * shape.dcn_fsdp


def indices(devices: Sequence[Device]) -> list[int]:
  """Returns the number of the slice of each device, from 0."""
  attribute = _attribute(devices)
  by_device = [getattr(device, attribute, 0) for device in devices]
  numbers = {key: number for number, key in enumerate(sorted(set(by_device)))}
  return [numbers[key] for key in by_device]


def check(shape: config.Mesh, devices: Sequence[Device]) -> None:
  """Checks that a mesh has the slices of its devices.

  Several slices of TPUs need a mesh that knows them; elsewhere, a mesh whose
  axes all have one slice may cross machines on any axis.

  Raises:
    InputError: the number of slices differs, or slices differ in size.
  """
  wanted = count(shape)
  if wanted == 1 and devices[0].platform != "tpu":
    return
  members = np.bincount(indices(devices))
  if len(members) != wanted:
    kind = "process(es)" if _attribute(devices) == _PROCESS else "slice(s)"
    raise errors.InputError(
        f"config.machine.mesh has dcn_data={shape.dcn_data} and"
        f" dcn_fsdp={shape.dcn_fsdp}, but the devices are those of"
        f" {len(members)} {kind}. The product of the two must be that number."
    )
  if len(set(members)) > 1:
    raise errors.InputError(
        f"the slices have {', '.join(map(str, members))} devices, but a mesh"
        " over several slices needs as many in each. Leave the others out."
    )


def arrange(
    within: Sequence[int], across: Sequence[int], devices: Sequence[Device]
) -> np.ndarray:
  """Returns the devices of several slices as a mesh.

  Args:
    within: devices of a slice along each axis.
    across: slices along each axis, which is the major part of the axis.
    devices: the devices.

  Returns:
    An array of devices whose shape is the product of both.
  """
  assert math.prod(within) * math.prod(across) == len(devices)
  return mesh_utils.create_hybrid_device_mesh(
      within,
      across,
      devices,
      process_is_granule=_attribute(devices) == _PROCESS,
  )


def _attribute(devices: Sequence[Device]) -> str:
  """Returns the attribute of devices that names their slice."""
  if devices[0].platform == "tpu":
    return _SLICE
  slices = {getattr(device, _SLICE, None) for device in devices}
  return _SLICE if len(slices) > 1 else _PROCESS
