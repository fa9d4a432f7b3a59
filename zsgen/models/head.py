"""Computes logits, and the loss of tokens, from hidden states.

Axes: B rows, T positions, D width, V vocabulary, c positions of a chunk.
"""

from collections.abc import Callable
from typing import Any

from flax import linen as nn
import jax
from jax import numpy as jnp
from jaxtyping import Float, Int

from zsgen.core import config
from zsgen.models import layers
from zsgen.models.arrays import Array

_NO_LOGIT = -1e30


class Head(nn.Module):
  """Computes logits of the next token; its parameters are the decoder's.

  Attributes:
    arch: the architecture.
    lora: which projections have adapters.
  """

  arch: config.Model
  lora: config.Lora = config.NO_LORA

  @nn.compact
  def __call__(self, x: Float[Array, "B T D"]) -> Float[Array, "B T V"]:
    """Returns float32 logits.

    V is `vocab_size`, padded to a multiple of `vocab_multiple`. Padding has
    probability 0.
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
    is_token = jnp.arange(logits.shape[-1]) < arch.vocab_size
    return jnp.where(is_token, logits, _NO_LOGIT)


def nll(
    logits: Float[Array, "B c V"], targets: Int[Array, "B c"]
) -> Float[Array, "B c"]:
  """Returns the negative log-likelihood of the targets, in nats, float32."""
  # A gather would be slow if the vocabulary is split over devices.
  is_target = jnp.arange(logits.shape[-1]) == targets[..., None]
  picked = jnp.where(is_target, logits, 0).sum(-1)
  return jax.nn.logsumexp(logits, axis=-1) - picked


def is_likeliest(
    logits: Float[Array, "B c V"], targets: Int[Array, "B c"]
) -> Float[Array, "B c"]:
  """Returns 1 where the target is the likeliest token, otherwise 0.

  The lowest id wins ties.
  """
  return (logits.argmax(-1) == targets).astype(jnp.float32)


def judge(
    head: Head,
    params: dict[str, Any],
    x: Float[Array, "B T D"],
    targets: Int[Array, "B T"],
    kind: Callable[[Array, Array], Array],
    chunk: int,
) -> Float[Array, "B T"]:
  """Applies `kind` to the logits and the target of each position.

  Args:
    head: the head.
    params: the parameters of the model.
    x: hidden states.
    targets: token ids.
    kind: `nll` or `is_likeliest`.
    chunk: positions of each row whose logits are in memory at the same time, in
      the forward pass and in the backward pass, which recomputes them; 0 keeps
      all of them.
  """

  def judge_chunk(x: Array, targets: Array) -> Array:
    logits: Any = head.apply({"params": params}, x)
    return kind(logits, targets)

  batch, length = targets.shape
  if not 0 < chunk < length:
    return judge_chunk(x, targets)
  count = -(-length // chunk)
  padding = (0, count * chunk - length)
  x = jnp.pad(x, ((0, 0), padding, (0, 0)))
  targets = jnp.pad(targets, ((0, 0), padding))
  # Chunks split positions, so that rows stay on their devices.
  chunks = jax.tree.map(
      lambda array: array.reshape(
          batch, count, chunk, *array.shape[2:]
      ).swapaxes(0, 1),
      (x, targets),
  )
  values = jax.lax.map(lambda pair: jax.checkpoint(judge_chunk)(*pair), chunks)
  return values.swapaxes(0, 1).reshape(batch, -1)[:, :length]
