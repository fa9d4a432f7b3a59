"""Computes logits from hidden states, and judges tokens by them.

Axes: B rows or row groups, T positions, D width, V vocabulary.
"""

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


def own_params(arch: config.Model, params: dict[str, Any]) -> dict[str, Any]:
  """Returns the parameters of a model that the head uses."""
  name = "embedding" if arch.tied else "head"
  return {name: params[name]}


def nll(
    logits: Float[Array, "B T V"], targets: Int[Array, "B T"]
) -> Float[Array, "B T"]:
  """Returns the negative log-likelihood of the targets, in nats, float32."""
  # A gather would be slow if the vocabulary is split over devices.
  is_target = jnp.arange(logits.shape[-1]) == targets[..., None]
  picked = jnp.where(is_target, logits, 0).sum(-1)
  return jax.nn.logsumexp(logits, axis=-1) - picked


def is_likeliest(
    logits: Float[Array, "B T V"], targets: Int[Array, "B T"]
) -> Float[Array, "B T"]:
  """Returns 1 where the target is the likeliest token, otherwise 0.

  The lowest id wins ties.
  """
  return (logits.argmax(-1) == targets).astype(jnp.float32)
