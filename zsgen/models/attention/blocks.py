"""Attention in plain operations for any platform, in blocks of queries."""

from collections.abc import Callable

import jax
from jax import numpy as jnp
from jaxtyping import Bool, Float, Int

from zsgen.models import layers
from zsgen.models.arrays import Array

# A block of queries is compared with the keys up to its own end, so that about
# half of the score matrix is never computed. The loop is unrolled, hence at
# most _MOST_BLOCKS blocks.
_SMALLEST_BLOCK = 128
_MOST_BLOCKS = 8
# Finite, so that a row can never become NaN.
_HIDDEN = -1e30


def attend(
    query: Float[Array, "B t H d"],
    key: Float[Array, "B T K d"],
    value: Float[Array, "B T K d"],
    segments: Int[Array, "B T"],
    *,
    scale: float,
    cap: float,
    window: int | None,
    first: Int[Array, ""] | None = None,
) -> Float[Array, "B t H d"]:
  """Computes `attention.attend` on any devices: XLA partitions it by itself.

  Args:
    query: H heads.
    key: K heads.
    value: as `key`.
    segments: the segment number of each position.
    scale: factor of the scores.
    cap: soft cap of the scores; 0 for none.
    window: number of positions to attend to, including the position itself;
      None for all.
    first: the position of the first query, if these are not all queries; then
      no key is skipped, because it is only known when the program runs.
  """
  if first is not None:
    visible = visible_from(segments, first, query.shape[1], window)
    return attend_visible(
        *(query, key, value),
        lambda begin, end, _: visible[:, begin:end],
        scale=scale,
        cap=cap,
        skip=False,
    )

  def visible_keys(begin: int, end: int, first: int) -> Array:
    """Returns which keys from `first` on the queries see, [B, t, s]."""
    return _visible(segments, begin, end, first, window)

  return attend_visible(
      query, key, value, visible_keys, scale=scale, cap=cap, window=window
  )


def attend_visible(
    query: Float[Array, "B t H d"],
    key: Float[Array, "B T K d"],
    value: Float[Array, "B T K d"],
    visible: Callable[[int, int, int], Array],
    *,
    scale: float,
    cap: float,
    window: int | None = None,
    skip: bool = True,
) -> Float[Array, "B t H d"]:
  """Attends in blocks of queries to the keys that a mask shows.

  Args:
    query: H heads.
    key: K heads.
    value: as `key`.
    visible: given begin and end of a block of queries and the first key that it
      is compared with, returns which of the keys before `end` each query sees,
      bool [B, t, s].
    scale: factor of the scores.
    cap: soft cap of the scores; 0 for none.
    window: keys further before a block are skipped; None skips none.
    skip: whether keys after a block are skipped; otherwise the mask is for all
      keys.
  """
  batch, length, heads, width = query.shape
  kv_heads = key.shape[2]
  # b: batch, k: key head, g: query heads of one key head, t/s: positions.
  grouped = query.reshape(batch, length, kv_heads, heads // kv_heads, width)
  grouped = grouped.transpose(0, 2, 3, 1, 4)
  key, value = key.transpose(0, 2, 1, 3), value.transpose(0, 2, 1, 3)
  step = max(_SMALLEST_BLOCK, -(-length // _MOST_BLOCKS))
  blocks = []
  for begin in range(0, length, step):
    end = min(begin + step, length)
    first = 0 if window is None else max(0, begin - window + 1)
    last = end if skip else key.shape[2]
    scores = _scores(grouped[:, :, :, begin:end], key[:, :, first:last])
    scores = layers.soft_cap(scale * scores, cap)
    is_visible = visible(begin, end, first)
    scores = jnp.where(is_visible[:, None, None], scores, _HIDDEN)
    weights = jax.nn.softmax(scores).astype(value.dtype)
    block_values = value[:, :, first:last]
    blocks.append(jnp.einsum("bkgts,bksd->bkgtd", weights, block_values))
  joined = jnp.concatenate(blocks, axis=3)
  return joined.transpose(0, 3, 1, 2, 4).reshape(query.shape)


def _scores(query: Array, key: Array) -> Array:
  return jnp.einsum(
      "bkgtd,bksd->bkgts", query, key, preferred_element_type=jnp.float32
  )


def _visible(
    segments: Array, begin: int, end: int, first: int, window: int | None
) -> Array:
  """Returns which of [first, end) each of [begin, end) sees: bool [B, t, s]."""
  queries = jnp.arange(begin, end)[:, None]
  keys = jnp.arange(first, end)
  visible = queries >= keys
  if window is not None:
    visible &= queries - keys < window
  is_same_segment = segments[:, begin:end, None] == segments[:, None, first:end]
  return visible & is_same_segment


def visible_from(
    segments: Int[Array, "B T"], first: Array, count: int, window: int | None
) -> Bool[Array, "B t T"]:
  """Returns which positions each of `count` queries from `first` on sees."""
  queries = first + jnp.arange(count)[:, None]
  keys = jnp.arange(segments.shape[1])
  visible = queries >= keys
  if window is not None:
    visible &= queries - keys < window
  own = jax.lax.dynamic_slice_in_dim(segments, first, count, axis=1)
  return visible & (own[:, :, None] == segments[:, None])
