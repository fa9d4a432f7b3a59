"""How a model is computed; never what."""

from typing import NamedTuple

import jax

from zsgen import config


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


PLAIN = Execution()


def of(machine: config.Machine, mesh: jax.sharding.Mesh) -> Execution:
  """What the config asks for on a mesh."""
  return Execution(machine.remat, machine.logits_chunk, "xla", mesh)
