"""Attention on an NVIDIA GPU: cuDNN's flash attention, through JAX."""

from typing import Literal

import jax
from jax import numpy as jnp
from jaxtyping import Bool, Float, Int

from zsgen.models.arrays import Array
from zsgen.models.attention import blocks


def attend(
    query: Float[Array, "B t H d"],
    key: Float[Array, "B T K d"],
    value: Float[Array, "B T K d"],
    segments: Int[Array, "B T"],
    *,
    scale: float,
    window: int | None,
    implementation: Literal["cudnn", "xla"],
    first: Int[Array, ""] | None = None,
) -> Float[Array, "B t H d"]:
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
    first: the position of the first query, if these are not all queries; then
      causality is in the mask, and no block is skipped.
  """
  if first is not None:
    visible = blocks.visible_from(segments, first, query.shape[1], window)
    return attend_visible(
        *(query, key, value, visible),
        scale=scale,
        implementation=implementation,
        is_causal=False,
    )
  visible = segments[:, :, None] == segments[:, None, :]
  if window is not None:
    positions = jnp.arange(segments.shape[1])
    visible &= positions[:, None] - positions < window
  return attend_visible(
      query, key, value, visible, scale=scale, implementation=implementation
  )


def attend_visible(
    query: Float[Array, "B t H d"],
    key: Float[Array, "B T K d"],
    value: Float[Array, "B T K d"],
    visible: Bool[Array, "B t T"],
    *,
    scale: float,
    implementation: Literal["cudnn", "xla"],
    is_causal: bool = True,
) -> Float[Array, "B t H d"]:
  """Attends to the visible keys that are not after the query.

  Args:
    query: H heads.
    key: K heads.
    value: as `key`.
    visible: which keys each query sees; its own is one of them.
    scale: factor of the scores.
    implementation: "xla" computes the same without a GPU.
    is_causal: whether keys after the query are hidden, although visible.
  """
  return jax.nn.dot_product_attention(
      query,
      key,
      value,
      mask=visible[:, None],
      scale=scale,
      is_causal=is_causal,
      implementation=implementation,
  )
