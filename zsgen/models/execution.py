"""How a model is computed, which never changes what it is."""

import contextlib
import re
from typing import NamedTuple

import jax

from zsgen.core import config, errors
from zsgen.core import mesh as mesh_lib

# The best backend of each platform, if it supports the model.
_BEST = {"cpu": "flash", "tpu": "splash", "gpu": "cudnn"}
_NEEDS = {"flash": "cpu", "splash": "tpu", "cudnn": "gpu"}
# Compute capabilities: cuDNN has flash attention from Ampere on, and wide heads
# from Hopper on.
_AMPERE, _HOPPER = 8.0, 9.0
_WIDEST, _WIDEST_HOPPER = 128, 256


class Execution(NamedTuple):
  """Choices that affect memory and time, and results only by rounding.

  Attributes:
    remat: what the backward pass recomputes, as in `config.Machine.remat`.
    logits_chunk: positions of each row group whose logits are in memory at the
      same time; 0 for all.
    attention: the backend: "xla", "flash", "cudnn" or "splash".
    mesh: the mesh; None for one device.
  """

  remat: str = "cheap"
  logits_chunk: int = 0
  attention: str = "xla"
  mesh: jax.sharding.Mesh | None = None

  @property
  def platform(self) -> str:
    """The platform of the devices: "cpu", "gpu" or "tpu"."""
    if self.mesh is None:
      return jax.default_backend()
    return self.mesh.devices.flat[0].platform

  @property
  def position_shards(self) -> int:
    """The number of parts into which the positions of a row are split."""
    return 1 if self.mesh is None else mesh_lib.position_shards(self.mesh)


PLAIN = Execution()


class BackendChoice(NamedTuple):
  """A backend of attention and the reason for choosing it."""

  backend: str
  reason: str


def from_config(
    machine: config.Machine, mesh: jax.sharding.Mesh, arch: config.Model
) -> Execution:
  """Returns the execution that the config requests, for a model on a mesh.

  Raises:
    InputError: the attention backend does not support the model or platform.
  """
  backend = choose_backend(
      machine.attention, mesh.devices.flat[0], arch
  ).backend
  return Execution(machine.remat, machine.logits_chunk, backend, mesh)


def choose_backend(
    requested: str, device: mesh_lib.Device, arch: config.Model
) -> BackendChoice:
  """Chooses the backend of attention.

  Args:
    requested: `config.machine.attention`; "auto" is the best supported one.
    device: one of the devices, which are all of the same kind.
    arch: the model.

  Raises:
    InputError: the requested backend does not support the model or platform.
  """
  platform = device.platform
  backend = _BEST.get(platform, "xla") if requested == "auto" else requested
  obstacle = _obstacle(backend, device, arch)
  if requested != "auto":
    if obstacle:
      raise errors.InputError(
          f"config.machine.attention is {requested!r}, but {obstacle}: set 'auto'"
          " or 'xla'."
      )
    return BackendChoice(backend, "requested")
  if obstacle:
    return BackendChoice("xla", f"{backend} is not supported: {obstacle}")
  return BackendChoice(backend, f"the best on platform {platform}")


def precision(dtype: str) -> contextlib.AbstractContextManager:
  """Returns the context in which a model of an element type is traced.

  By default, accelerators multiply float32 matrices with less precision.
  Float32 models are for exact comparisons, so they use "highest", which takes
  several passes. Smaller types lose nothing with the default.
  """
  if dtype != "float32":
    return contextlib.nullcontext()
  return jax.default_matmul_precision("highest")


def _obstacle(backend: str, device: mesh_lib.Device, arch: config.Model) -> str:
  """Returns why a backend cannot be used, or "" if it can."""
  platform = _NEEDS.get(backend, device.platform)
  if platform != device.platform:
    return (
        f"it needs platform {platform}, and the devices are {device.platform}"
    )
  return _cudnn_obstacle(device, arch) if backend == "cudnn" else ""


def _cudnn_obstacle(device: mesh_lib.Device, arch: config.Model) -> str:
  """Returns why JAX's cuDNN flash attention cannot be used, or "" if it can."""
  capability = str(getattr(device, "compute_capability", ""))
  version = float(capability) if re.fullmatch(r"\d+\.\d+", capability) else 0.0
  widest = _WIDEST_HOPPER if version >= _HOPPER else _WIDEST
  if version < _AMPERE:
    return (
        "cuDNN needs an NVIDIA GPU of compute capability 8.0 or more, and this"
        f" is {device.device_kind} ({capability or 'none'})"
    )
  if arch.dtype != "bfloat16":
    return (
        f"config.model.dtype is {arch.dtype}, and cuDNN supports bfloat16 but"
        f" not {arch.dtype}"
    )
  if arch.score_cap:
    return (
        "cuDNN has no soft cap for scores, and config.model.score_cap is"
        f" {arch.score_cap}"
    )
  if arch.head_width % 8 or arch.head_width > widest:
    return (
        f"cuDNN needs head widths up to {widest} that 8 divides, and"
        f" config.model.head_width is {arch.head_width}"
    )
  return ""
