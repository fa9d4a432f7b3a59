"""Meshes over several slices: which axes cross them, and what is refused."""

import dataclasses
import re

import jax
import numpy as np
import pytest

from zsgen.core import config, errors, slices
from zsgen.core import mesh as mesh_lib


@dataclasses.dataclass(frozen=True)
class FakeDevice:
  """The attributes of a device that meshes read."""

  id: int
  platform: str = "cpu"
  device_kind: str = "cpu"
  process_index: int = 0
  slice_index: int | None = None


def _processes(*counts):
  """Returns devices of processes that have so many of them."""
  indices = np.repeat(np.arange(len(counts)), counts)
  return [
      FakeDevice(number, process_index=int(index))
      for number, index in enumerate(indices)
  ]


def _mesh(**sizes):
  return dataclasses.replace(config.Mesh(), **sizes)


@pytest.mark.parametrize("axis", ["data", "fsdp"])
def test_only_the_axis_of_the_network_crosses_slices(axis):
  shape = _mesh(data=1, fsdp=2, tensor=2, **{f"dcn_{axis}": 2})
  devices = _processes(4, 4)
  across = slices.sizes(shape, mesh_lib.AXES)
  array = slices.arrange((1, 2, 1, 2), across, devices)
  sizes = {"data": 1, "fsdp": 2, "context": 1, "tensor": 2}
  sizes[axis] *= 2
  assert array.shape == tuple(sizes.values())
  numbers = np.reshape(slices.indices(list(array.flat)), array.shape)
  for number, name in enumerate(mesh_lib.AXES):
    is_crossed = bool(np.diff(numbers, axis=number).any())
    assert is_crossed == (name == axis), name
  # The slice is the major part of its axis.
  first, *_ = np.moveaxis(numbers, mesh_lib.AXES.index(axis), 0)
  assert not first.any()


def test_slices_are_those_that_devices_name():
  devices = [
      dataclasses.replace(device, slice_index=index)
      for device, index in zip(
          _processes(1, 1, 1, 1), (5, 5, 3, 3), strict=True
      )
  ]
  assert slices.indices(devices) == [1, 1, 0, 0]
  same = [dataclasses.replace(device, slice_index=0) for device in devices]
  assert slices.indices(same) == [0, 1, 2, 3]  # On CPUs: processes.
  tpus = [dataclasses.replace(device, platform="tpu") for device in same]
  assert slices.indices(tpus) == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("shape", "devices", "message"),
    [
        (
            _mesh(dcn_data=2),
            _processes(4),
            "has dcn_data=2 and dcn_fsdp=1, but the devices are those of 1"
            " process(es). The product of the two must be that number.",
        ),
        (
            _mesh(dcn_data=2, dcn_fsdp=2),
            _processes(2, 2),
            "has dcn_data=2 and dcn_fsdp=2, but the devices are those of 2",
        ),
        (
            _mesh(dcn_fsdp=2),
            _processes(3, 1),
            "the slices have 3, 1 devices",
        ),
        (
            _mesh(),
            [
                FakeDevice(index, "tpu", "TPU v5e", slice_index=index)
                for index in range(2)
            ],
            "dcn_data=1 and dcn_fsdp=1, but the devices are those of 2 slice(s)",
        ),
        (
            _mesh(data=1, fsdp=4, dcn_data=2),
            _processes(2, 2),
            "fsdp=4, context=1, tensor=1, but there are 2 devices in each slice",
        ),
    ],
)
def test_wrong_slices_are_refused(shape, devices, message):
  with pytest.raises(errors.InputError, match=re.escape(message)):
    mesh_lib.make(shape, devices)


def test_processes_need_no_slices():
  assert slices.count(config.Mesh()) == 1
  slices.check(_mesh(fsdp=-1), _processes(2, 2))
  slices.check(config.Mesh(), jax.devices()[:1])
