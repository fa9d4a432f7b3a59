"""Attention of segments that share prefixes, on a CPU.

It loops over blocks of queries and, within them, over the blocks of keys that a
query attends to: those of its segment and those of its prefix. So the time does
not depend on the length of the rows. There is no backward pass.
"""

from typing import Any

import jax
from jax import numpy as jnp
from jaxtyping import Bool, Float, Int

from zsgen.models import layers
from zsgen.models.arrays import Array

# Positions of a block.
_BLOCK = 128
# Finite, so that a row can never become NaN.
_HIDDEN = -1e30
_F32 = jnp.float32


def attend(
    query: Float[Array, "B T H d"],
    key: Float[Array, "B T K d"],
    value: Float[Array, "B T K d"],
    spans: tuple[Array, Array, Array],
    *,
    scale: float,
    cap: float,
) -> Float[Array, "B T H d"]:
  """Computes `attention.attend_shared` on one device, in float32.

  Args:
    query: H heads.
    key: K heads.
    value: as `key`.
    spans: `shared.Spans`.
    scale: factor of the scores.
    cap: soft cap of the scores; 0 for none.
  """
  batch, length, heads, width = query.shape
  kv_heads = key.shape[2]
  count = -(-length // _BLOCK)
  # b: rows, m: blocks, s: positions of a block, k: key heads, g: query heads of
  # one key head.
  grouped = _blocks(query).reshape(
      batch, count, _BLOCK, kv_heads, heads // kv_heads, width
  )
  grouped = grouped.transpose(0, 1, 3, 4, 2, 5).astype(_F32) * scale
  keys, values = (
      _blocks(x).transpose(0, 1, 3, 2, 4).astype(_F32) for x in (key, value)
  )
  sight = jnp.stack(_padded(spans), axis=-1).reshape(batch, count, _BLOCK, 3)

  @jax.custom_batching.sequential_vmap
  def attend_rows(grouped: Any, keys: Any, values: Any, sight: Any) -> Any:
    """Returns the attended values of all blocks of queries of all rows."""

    def attend_block(index: Array) -> Array:
      """Returns the attended values of one of the blocks of all rows."""
      row, block = index // count, index % count
      return _attend_block(
          grouped[row, block], keys[row], values[row], sight[row, block], block
      )

    return jax.lax.map(attend_block, jnp.arange(batch * count))

  def _attend_block(
      queries: Float[Array, "k g s d"],
      keys: Float[Array, "m k s d"],
      values: Float[Array, "m k s d"],
      sight: Int[Array, "s 3"],
      block: Array,
  ) -> Float[Array, "k g s d"]:
    """Returns the attended values of a block of queries."""
    own, prefix, prefix_count = _ranges(sight)

    def add(index: Array, sums: Any) -> Any:
      """Adds a block of keys, of the prefix or of the segment, to the highest
      scores, the sums of the weights relative to them, and the weighted values.
      """
      top, total, mixed = sums
      number = jnp.where(
          index < prefix_count, prefix + index, own + index - prefix_count
      )
      scores = jnp.einsum("kgsd,ktd->kgst", queries, keys[number])
      scores = layers.soft_cap(scores, cap)
      visible = _visible(sight, block, number)
      scores = jnp.where(visible, scores, _HIDDEN)
      new_top = jnp.maximum(top, scores.max(-1))
      weights = jnp.exp(scores - new_top[..., None])
      factor = jnp.exp(top - new_top)
      total = total * factor + weights.sum(-1)
      mixed = mixed * factor[..., None]
      mixed += jnp.einsum("kgst,ktd->kgsd", weights, values[number])
      return new_top, total, mixed

    zeros = jnp.zeros(queries.shape[:-1], _F32)
    start = (zeros + _HIDDEN, zeros, jnp.zeros(queries.shape, _F32))
    end = prefix_count + block + 1 - own
    _, total, mixed = jax.lax.fori_loop(0, end, add, start)
    return mixed / total[..., None]

  attended = attend_rows(grouped, keys, values, sight)
  attended = attended.reshape(grouped.shape).transpose(0, 1, 4, 2, 3, 5)
  attended = attended.reshape(batch, count * _BLOCK, heads, width)
  return attended[:, :length].astype(value.dtype)


def _blocks(x: Float[Array, "B T H d"]) -> Float[Array, "B M S H d"]:
  """Returns blocks of positions; the last one is padded."""
  batch, length, heads, width = x.shape
  x = jnp.pad(x, ((0, 0), (0, -length % _BLOCK), (0, 0), (0, 0)))
  return x.reshape(batch, -1, _BLOCK, heads, width)


def _padded(spans: tuple[Array, Array, Array]) -> list[Array]:
  """Returns spans of whole blocks; padding attends to itself."""
  length = spans[0].shape[1]
  ends = jnp.arange(length, length + -length % _BLOCK)
  return [
      jnp.concatenate(
          [span, jnp.broadcast_to(rest, (len(span), len(ends)))], axis=1
      )
      for span, rest in zip(spans, (ends, 0 * ends, 0 * ends), strict=True)
  ]


def _ranges(sight: Int[Array, "s 3"]) -> tuple[Array, Array, Array]:
  """Returns which blocks of keys a block of queries attends to.

  Returns:
    The first block of the segments, the first one of the prefixes, and how many
    of the blocks from there on are before the segments.
  """
  begin, prefix_begin, prefix_end = sight.T
  own = begin.min() // _BLOCK
  has_prefix = prefix_begin < prefix_end
  first = jnp.where(has_prefix, prefix_begin, jnp.iinfo(jnp.int32).max).min()
  last = jnp.where(has_prefix, prefix_end, 0).max()
  end = jnp.minimum(-(-last // _BLOCK), own)
  prefix = jnp.minimum(first // _BLOCK, end)
  return own, prefix, end - prefix


def _visible(
    sight: Int[Array, "s 3"], block: Array, number: Array
) -> Bool[Array, "s t"]:
  """Returns which keys of a block the queries of another one attend to."""
  begin, prefix_begin, prefix_end = sight.T[..., None]
  offsets = jnp.arange(_BLOCK)
  queries, keys = block * _BLOCK + offsets[:, None], number * _BLOCK + offsets
  own = (keys >= begin) & (keys <= queries)
  return own | ((keys >= prefix_begin) & (keys < prefix_end))
