"""What makes logits, and the loss of a token, of a decoder's result.

Letters: B rows, T positions, D width, V vocabulary, c positions of a chunk.
"""

from collections.abc import Callable
from typing import Any

from flax import linen as nn
import jax
from jax import numpy as jnp
from jaxtyping import Array, Float, Int

from zsgen.core import config
from zsgen.models import layers

_NO_LOGIT = -1e30


class Head(nn.Module):
  """Logits of the next token; its parameters are among the decoder's.

  Attributes:
    arch: the architecture.
    lora: adapters of projections.
  """

  arch: config.Model
  lora: config.Lora = config.NO_LORA

  @nn.compact
  def __call__(self, x: Float[Array, "B T D"]) -> Float[Array, "B T V"]:
    """Logits, float32.

    V is `vocab_size`, padded as `vocab_multiple` says; what is beyond the
    vocabulary has probability 0.
    """
    arch, out = self.arch, jnp.float32
    if arch.tied:
      rows = layers.table(self, arch, "embedding").astype(x.dtype)
      logits = jnp.einsum("BTD,VD->BTV", x, rows, preferred_element_type=out)
    else:
      padded = -(-arch.vocab_size // arch.vocab_multiple) * arch.vocab_multiple
      shape = (arch.width, padded)
      project = layers.Projection(
          "BTD,DV->BTV",
          shape,
          std=arch.init_std,
          out=out,
          lora=self.lora,
          name="head",
      )
      logits = project(x)
    logits = layers.soft_cap(logits, arch.logit_cap)
    if logits.shape[-1] == arch.vocab_size:
      return logits
    known = jnp.arange(logits.shape[-1]) < arch.vocab_size
    return jnp.where(known, logits, _NO_LOGIT)


def nll(
    logits: Float[Array, "B c V"], targets: Int[Array, "B c"]
) -> Float[Array, "B c"]:
  """Negative log-likelihood of the targets, in nats, float32."""
  # Not a gather, which a vocabulary that is split over devices makes slow.
  chosen = jnp.arange(logits.shape[-1]) == targets[..., None]
  picked = jnp.where(chosen, logits, 0).sum(-1)
  return jax.nn.logsumexp(logits, axis=-1) - picked


def is_likeliest(
    logits: Float[Array, "B c V"], targets: Int[Array, "B c"]
) -> Float[Array, "B c"]:
  """1 where the target is the likeliest token, of equals the lowest; or 0."""
  return (logits.argmax(-1) == targets).astype(jnp.float32)


def judge(
    head: Head,
    params: dict[str, Any],
    x: Float[Array, "B T D"],
    targets: Int[Array, "B T"],
    kind: Callable[[Array, Array], Array],
    chunk: int,
) -> Float[Array, "B T"]:
  """What logits make of the target at each position.

  Args:
    head: makes logits.
    params: of the model.
    x: the decoder's result.
    targets: tokens.
    kind: `nll` or `is_likeliest`.
    chunk: positions of each row whose logits are held at once, in the forward
      and in the backward pass, which computes them again; 0: all, and kept.
  """

  def one(x: Array, targets: Array) -> Array:
    return kind(head.apply({"params": params}, x), targets)

  batch, length = targets.shape
  if not 0 < chunk < length:
    return one(x, targets)
  count = -(-length // chunk)
  beyond = (0, count * chunk - length)
  x = jnp.pad(x, ((0, 0), beyond, (0, 0)))
  targets = jnp.pad(targets, ((0, 0), beyond))
  # Rows stay where they are on the mesh: chunks are of positions.
  chunks = jax.tree.map(
      lambda each: each.reshape(batch, count, chunk, *each.shape[2:]).swapaxes(
          0, 1
      ),
      (x, targets),
  )
  found = jax.lax.map(lambda each: jax.checkpoint(one)(*each), chunks)
  return found.swapaxes(0, 1).reshape(batch, -1)[:, :length]
