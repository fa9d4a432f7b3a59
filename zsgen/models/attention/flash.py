"""Attention on a CPU: flash attention (2205.14135) in XLA's own loops.

Scores exist for one block of queries and one block of keys at a time, forward
and backward. The loop over the blocks of keys starts at the first one that a
query of the block sees: blocks that causality, a window or segments hide are
never computed. All heads of a block are one batched product.

Axes: N groups of rows, M blocks of a row, P rows of a group times key heads,
Q queries of a block times query heads of a key head, S keys of a block, d width
of a head. A block has as many positions of queries as of keys.
"""

import functools

import jax
from jax import numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Float, Int

from zsgen.models import layers
from zsgen.models.arrays import Array

# Positions of a block, at most, and what they are a multiple of. Shorter blocks
# skip more of the scores, but their products are slower.
_LONGEST, _MULTIPLE = 128, 8
# Rows are computed together if a block of all of them has at most so many
# scores.
_MOST_SCORES = 2**15
# The segment of positions that pad the last block. They come after all other
# positions, so that causality hides them; they attend to each other.
_PADDING = -1
# Finite, so that a row can never become NaN.
_HIDDEN = -1e30
_F32 = jnp.float32


def attend(
    query: Float[Array, "B T H d"],
    key: Float[Array, "B T K d"],
    value: Float[Array, "B T K d"],
    segments: Int[Array, "B T"],
    *,
    scale: float,
    cap: float,
    window: int | None,
    name: str,
) -> Float[Array, "B T H d"]:
  """Computes `attention.attend` on one device, with products in float32.

  Args:
    query: H heads.
    key: K heads.
    value: as `key`.
    segments: 0 or more. Those of a row are contiguous.
    scale: factor of the scores.
    cap: soft cap of the scores; 0 for none.
    window: number of positions to attend to, including the position itself;
      None for all.
    name: checkpoint name of the result and of the residuals of the backward
      pass.
  """
  batch, length, heads, _ = query.shape
  kv_heads = key.shape[2]
  count = -(-length // _LONGEST)
  block = -(-length // (count * _MULTIPLE)) * _MULTIPLE
  rows = _rows_of_group(batch, heads * block**2)
  padding = (0, 0), (0, count * block - length)
  segments = jnp.pad(segments, padding, constant_values=_PADDING)
  query, key, value = (
      _to_blocks(jnp.pad(x, (*padding, (0, 0), (0, 0))), rows, count, kv_heads)
      for x in (query, key, value)
  )
  starts = _first_visible(segments, window).reshape(-1, rows, count, block)
  starts = starts.swapaxes(1, 2)
  attended = _attend(query, key, value, starts, scale, cap, name)
  return _from_blocks(attended, rows, kv_heads, block)[:, :length]


def _rows_of_group(batch: int, scores: int) -> int:
  """Returns how many rows are computed together, a divisor of `batch`.

  Args:
    batch: number of rows.
    scores: number of scores of a block of each row.
  """
  most = max(1, min(batch, _MOST_SCORES // scores))
  return max(rows for rows in range(1, most + 1) if batch % rows == 0)


def _first_visible(
    segments: Int[Array, "B T"], window: int | None
) -> Int[Array, "B T"]:
  """Returns the first position that each position attends to."""
  positions = jnp.arange(segments.shape[1])
  before = jnp.pad(segments[:, :-1], ((0, 0), (1, 0)), constant_values=-2)
  is_first = segments != before
  starts = jax.lax.cummax(jnp.where(is_first, positions, 0), axis=1)
  return starts if window is None else jnp.maximum(starts, positions - window + 1)


def _to_blocks(
    x: Float[Array, "B T H d"], rows: int, count: int, kv_heads: int
) -> Float[Array, "N M P Q d"]:
  """Returns blocks of positions, with the heads of a key head in sequence."""
  batch, length, heads, width = x.shape
  block, shared = length // count, heads // kv_heads
  x = x.reshape(-1, rows, count, block, kv_heads, shared, width)
  x = x.transpose(0, 2, 1, 4, 3, 5, 6)
  return x.reshape(-1, count, rows * kv_heads, block * shared, width)


def _from_blocks(
    x: Float[Array, "N M P Q d"], rows: int, kv_heads: int, block: int
) -> Float[Array, "B T H d"]:
  """Inverts `_to_blocks`."""
  groups, count, _, size, width = x.shape
  shared = size // block
  x = x.reshape(groups, count, rows, kv_heads, block, shared, width)
  x = x.transpose(0, 2, 1, 4, 3, 5, 6)
  return x.reshape(groups * rows, count * block, kv_heads * shared, width)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5, 6))
def _attend(
    query: Float[Array, "N M P Q d"],
    key: Float[Array, "N M P S d"],
    value: Float[Array, "N M P S d"],
    starts: Int[Array, "N M R S"],
    scale: float,
    cap: float,
    name: str,
) -> Float[Array, "N M P Q d"]:
  """Attends in blocks; the other arguments are as in `attend`.

  Args:
    query: blocks of queries.
    key: blocks of keys.
    value: blocks of values.
    starts: the first position that each position of R rows attends to.
    scale: as in `attend`.
    cap: as in `attend`.
    name: as in `attend`.
  """
  del name
  return _forward(query, key, value, starts, scale, cap)[0]


def _save(query, key, value, starts, scale, cap, name):
  out, log_sum = _forward(query, key, value, starts, scale, cap)
  out, log_sum = checkpoint_name((out, log_sum), name)
  return out, (query, key, value, starts, out, log_sum)


def _pull_back(scale, cap, name, saved, gradient):
  del name
  return (*_backward(*saved, gradient, scale, cap), None)


_attend.defvjp(_save, _pull_back)


def _forward(query, key, value, starts, scale, cap):
  groups, count, heads, size, width = query.shape

  def block(index, results):
    n, i = index // count, index % count
    queries = query[n, i].astype(_F32) * scale

    def add(j, sums):
      top, total, mixed = sums
      scores = jnp.einsum("pqd,psd->pqs", queries, key[n, j].astype(_F32))
      scores = layers.soft_cap(scores, cap)
      scores = jnp.where(_visible(starts[n, i], i, j, scores.shape), scores, _HIDDEN)
      new_top = jnp.maximum(top, scores.max(-1))
      weights, factor = jnp.exp(scores - new_top[..., None]), jnp.exp(top - new_top)
      values = jnp.einsum("pqs,psd->pqd", weights, value[n, j].astype(_F32))
      return new_top, total * factor + weights.sum(-1), mixed * factor[..., None] + values

    sums = (jnp.full((heads, size), _HIDDEN, _F32), jnp.zeros((heads, size), _F32), jnp.zeros((heads, size, width), _F32))
    first = starts[n, i].min() // starts.shape[-1]
    top, total, mixed = jax.lax.fori_loop(first, i + 1, add, sums)
    out, log_sum = results
    out = out.at[n, i].set((mixed / total[..., None]).astype(out.dtype))
    return out, log_sum.at[n, i].set(top + jnp.log(total))

  shape = query.shape
  results = jnp.zeros(shape, value.dtype), jnp.zeros(shape[:-1], _F32)
  return jax.lax.fori_loop(0, groups * count, block, results)


def _backward(query, key, value, starts, out, log_sum, gradient, scale, cap):
  groups, count, heads, size, width = query.shape
  delta = (out.astype(_F32) * gradient.astype(_F32)).sum(-1)

  def block(index, gradients):
    n, i = index // count, index % count
    queries = query[n, i].astype(_F32) * scale
    back = gradient[n, i].astype(_F32)

    def add(j, gradients):
      by_query, by_key, by_value = gradients
      keys, values = key[n, j].astype(_F32), value[n, j].astype(_F32)
      scores = jnp.einsum("psd,pqd->psq", keys, queries)
      scores = layers.soft_cap(scores, cap)
      visible = _visible(starts[n, i], i, j, scores.swapaxes(1,2).shape).swapaxes(1, 2)
      weights = jnp.exp(jnp.where(visible, scores, _HIDDEN) - log_sum[n, i][:, None])
      slopes = jnp.einsum("psd,pqd->psq", values, back) - delta[n, i][:, None]
      slopes = weights * slopes
      if cap:
        slopes *= 1 - (scores / cap)**2
      by_value = by_value.at[n, j].add(jnp.einsum("psq,pqd->psd", weights, back))
      by_key = by_key.at[n, j].add(jnp.einsum("psq,pqd->psd", slopes, queries))
      return by_query + jnp.einsum("psq,psd->pqd", slopes, keys), by_key, by_value

    by_query, by_key, by_value = gradients
    first = starts[n, i].min() // starts.shape[-1]
    block_sum, by_key, by_value = jax.lax.fori_loop(
        first, i + 1, add, (jnp.zeros((heads, size, width), _F32), by_key, by_value)
    )
    return by_query.at[n, i].set((block_sum*scale).astype(by_query.dtype)), by_key, by_value

  zeros = jnp.zeros_like(query), jnp.zeros(key.shape, _F32), jnp.zeros(value.shape, _F32)
  by_query, by_key, by_value = jax.lax.fori_loop(0, groups * count, block, zeros)
  return by_query, by_key.astype(key.dtype), by_value.astype(value.dtype)


def _visible(starts, i, j, shape):
  heads, size, keys = shape
  rows, block = starts.shape
  offsets = jnp.arange(block)
  source = j * block + offsets
  visible = (source >= starts[..., None]) & (source <= (i * block + offsets)[:, None])
  full = (rows, heads // rows, block, size // block, keys)
  return jnp.broadcast_to(visible[:, None, :, None], full).reshape(shape)
