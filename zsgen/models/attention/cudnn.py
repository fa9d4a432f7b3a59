"""Attention on an NVIDIA GPU: cuDNN's flash attention, through JAX."""

from typing import Literal

import jax
from jax import numpy as jnp
from jaxtyping import Array, Float, Int


def attend(
    query: Float[Array, "B T H d"],
    key: Float[Array, "B T K d"],
    value: Float[Array, "B T K d"],
    segments: Int[Array, "B T"],
    *,
    scale: float,
    window: int | None,
    implementation: Literal["cudnn", "xla"],
) -> Float[Array, "B T H d"]:
  """As `attention.attend` without a cap, on one device.

  Segments and windows are a mask, which JAX gives to cuDNN as a bias of
  [B, 1, T, T]; scores are never held. Causality is cuDNN's own, which skips
  what it hides. (cuDNN's own window does not go together with a bias.)

  Args:
    query: H heads.
    key: K heads.
    value: as `key`.
    segments: of each position.
    scale: of the scores.
    window: positions that each one sees, itself counted; None for all.
    implementation: "xla" computes the same without a GPU.
  """
  visible = segments[:, :, None] == segments[:, None, :]
  if window is not None:
    places = jnp.arange(segments.shape[1])
    visible &= places[:, None] - places < window
  return jax.nn.dot_product_attention(
      query,
      key,
      value,
      mask=visible[:, None],
      scale=scale,
      is_causal=True,
      implementation=implementation,
  )
