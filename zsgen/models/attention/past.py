"""Attention to cached keys and values, for generation."""

from jax import numpy as jnp
from jaxtyping import Bool, Float

from zsgen.models import layers
from zsgen.models.arrays import Array

# Finite, so that a row can never become NaN.
_HIDDEN = -1e30
_F32 = jnp.float32


def attend_past(
    query: Float[Array, "B 1 H d"],
    key: Float[Array, "B 1 K d"],
    value: Float[Array, "B 1 K d"],
    past: tuple[Float[Array, "B S K d"], Float[Array, "B S K d"]],
    visible: Bool[Array, "B S"],
    *,
    scale: float,
    cap: float = 0.0,
) -> Float[Array, "B 1 H d"]:
  """Attends from one new position per row to the past and to itself.

  Args:
    query: H heads of the new position.
    key: K heads of the new position.
    value: as `key`.
    past: keys and values of S slots.
    visible: mask of the slots to attend to.
    scale: factor of the scores.
    cap: soft cap of the scores; 0 for none.

  Returns:
    The attended values, in the type of `value`; softmax is in float32.
  """
  batch, _, heads, width = query.shape
  kv_heads = key.shape[2]
  grouped = query.reshape(batch, kv_heads, heads // kv_heads, width)
  scores = [
      jnp.einsum("bkgd,bskd->bkgs", grouped, keys, preferred_element_type=_F32)
      for keys in (past[0], key)
  ]
  scores = [layers.soft_cap(scale * score, cap) for score in scores]
  scores[0] = jnp.where(visible[:, None, None], scores[0], _HIDDEN)
  # Concatenating past and present would copy the past at every step.
  top = jnp.maximum(scores[0].max(-1, keepdims=True), scores[1])
  weights = [jnp.exp(score - top) for score in scores]
  total = weights[0].sum(-1, keepdims=True) + weights[1]
  mixed = [
      jnp.einsum(
          "bkgs,bskd->bkgd", (weight / total).astype(values.dtype), values
      )
      for weight, values in zip(weights, (past[1], value), strict=True)
  ]
  return (mixed[0] + mixed[1]).reshape(query.shape)
