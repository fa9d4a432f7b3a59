"""Attention on an NVIDIA GPU: cuDNN's flash attention, through JAX."""

from typing import Literal

import jax
from jax import numpy as jnp
from jaxtyping import Bool, Float, Int

from zsgen.models.arrays import Array


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
  """Computes `attention.attend` without a cap, on one device.

  Segments and windows are a mask, which JAX passes to cuDNN as a bias of
  [B, 1, T, T]; scores are never stored. Causality is cuDNN's own, which skips
  hidden blocks. (cuDNN's own window cannot be combined with a bias.)

  Args:
    query: H heads.
    key: K heads.
    value: as `key`.
    segments: the segment number of each position.
    scale: factor of the scores.
    window: number of positions to attend to, including the position itself;
      None for all.
    implementation: "xla" computes the same without a GPU.
  """
  visible = segments[:, :, None] == segments[:, None, :]
  if window is not None:
    positions = jnp.arange(segments.shape[1])
    visible &= positions[:, None] - positions < window
  return attend_visible(
      query, key, value, visible, scale=scale, implementation=implementation
  )


def attend_visible(
    query: Float[Array, "B T H d"],
    key: Float[Array, "B T K d"],
    value: Float[Array, "B T K d"],
    visible: Bool[Array, "B T T"],
    *,
    scale: float,
    implementation: Literal["cudnn", "xla"],
) -> Float[Array, "B T H d"]:
  """Attends to the visible keys that are not after the query.

  Args:
    query: H heads.
    key: K heads.
    value: as `key`.
    visible: which keys each query sees; its own is one of them.
    scale: factor of the scores.
    implementation: "xla" computes the same without a GPU.
  """
  return jax.nn.dot_product_attention(
      query,
      key,
      value,
      mask=visible[:, None],
      scale=scale,
      is_causal=True,
      implementation=implementation,
  )
