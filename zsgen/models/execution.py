"""How a model is computed; never what."""

import contextlib
import re
from typing import NamedTuple

import jax

from zsgen.core import config, errors

# What is best on a platform, where it serves the model.
_BEST = {"tpu": "splash", "gpu": "cudnn"}
_NEEDS = {"splash": "tpu", "cudnn": "gpu"}
# Compute capabilities: that of Ampere, from which cuDNN has flash attention,
# and that of Hopper, from which heads may be wide.
_AMPERE, _HOPPER = 8.0, 9.0
_WIDEST, _WIDEST_HOPPER = 128, 256


class Execution(NamedTuple):
  """Choices that change memory and time, and results by rounding only.

  Attributes:
    remat: what the backward pass computes again, as `config.Machine.remat`.
    logits_chunk: positions of each row whose logits are held at once; 0: all.
    attention: the backend, "xla", "cudnn" or "splash".
    mesh: where; None for one device.
  """

  remat: str = "cheap"
  logits_chunk: int = 0
  attention: str = "xla"
  mesh: jax.sharding.Mesh | None = None

  @property
  def platform(self) -> str:
    """Of its devices: "cpu", "gpu" or "tpu"."""
    if self.mesh is None:
      return jax.default_backend()
    return self.mesh.devices.flat[0].platform


PLAIN = Execution()


class Chosen(NamedTuple):
  """A backend of attention, and why it is that one."""

  backend: str
  why: str


def of(
    machine: config.Machine, mesh: jax.sharding.Mesh, arch: config.Model
) -> Execution:
  """What the config asks for, of a model on a mesh.

  Raises:
    InputError: the backend of attention does not serve the model or platform.
  """
  backend = chosen(machine.attention, mesh.devices.flat[0], arch).backend
  return Execution(machine.remat, machine.logits_chunk, backend, mesh)


def chosen(asked: str, device: jax.Device, arch: config.Model) -> Chosen:
  """The backend of attention.

  Args:
    asked: `config.machine.attention`; "auto" takes the best that serves.
    device: one of those that compute, which are all of a kind.
    arch: the model.

  Raises:
    InputError: what is asked for does not serve the model or platform.
  """
  platform = device.platform
  backend = _BEST.get(platform, "xla") if asked == "auto" else asked
  against = _against(backend, device, arch)
  if asked != "auto":
    if against:
      raise errors.InputError(
          f"config.machine.attention is {asked!r}, but {against}: take 'auto'"
          " or 'xla'."
      )
    return Chosen(backend, "asked for")
  if against:
    return Chosen("xla", f"{backend} is not possible: {against}")
  return Chosen(backend, f"the best on platform {platform}")


def precision(dtype: str) -> contextlib.AbstractContextManager:
  """The context in which a model of an element type is traced.

  Accelerators multiply float32 matrices at less than float32 unless told. A
  model of float32 is there to be equal to others: "highest", which costs
  several passes. Types below it lose nothing by the default.
  """
  if dtype != "float32":
    return contextlib.nullcontext()
  return jax.default_matmul_precision("highest")


def _against(backend: str, device: jax.Device, arch: config.Model) -> str:
  """What keeps a backend from serving; "" for nothing."""
  needs = _NEEDS.get(backend, device.platform)
  if needs != device.platform:
    return f"it needs platform {needs}, and devices are of {device.platform}"
  return _against_cudnn(device, arch) if backend == "cudnn" else ""


def _against_cudnn(device: jax.Device, arch: config.Model) -> str:
  """What keeps cuDNN's flash attention, as JAX has it, from serving."""
  found = str(getattr(device, "compute_capability", ""))
  number = float(found) if re.fullmatch(r"\d+\.\d+", found) else 0.0
  widest = _WIDEST_HOPPER if number >= _HOPPER else _WIDEST
  if number < _AMPERE:
    return (
        "cuDNN needs an NVIDIA GPU of compute capability 8.0 or more, and this"
        f" is {device.device_kind} ({found or 'none'})"
    )
  if arch.dtype != "bfloat16":
    return (
        f"cuDNN takes no {arch.dtype}, which is config.model.dtype; bfloat16"
        " it does"
    )
  if arch.score_cap:
    return (
        "cuDNN has no soft cap of scores, and config.model.score_cap is"
        f" {arch.score_cap}"
    )
  if arch.head_width % 8 or arch.head_width > widest:
    return (
        f"cuDNN takes heads of a width up to {widest} that 8 divides, and"
        f" config.model.head_width is {arch.head_width}"
    )
  return ""
