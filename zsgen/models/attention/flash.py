"""Attention on a CPU: flash attention (2205.14135) in XLA's own loops.

Scores exist for one block of queries and one block of keys at a time, forward
and backward. The loop over the blocks of keys starts at the first one that a
query of the block sees: blocks that causality, a window or segments hide are
never computed. All heads of a block are one batched product.

Axes: N groups of rows, M blocks of a row, P rows of a group times key heads,
Q queries of a block times query heads of a key head, S keys of a block, d width
of a head. A block has as many positions of queries as of keys. If queries are
part of a row, they have m blocks, which may overlap two blocks of keys.
"""

from collections.abc import Callable
import functools
from typing import Any

import jax
from jax import numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Bool, Float, Int

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
    query: Float[Array, "B t H d"],
    key: Float[Array, "B T K d"],
    value: Float[Array, "B T K d"],
    segments: Int[Array, "B T"],
    *,
    scale: float,
    cap: float,
    window: int | None,
    name: str,
    first: Int[Array, ""] | None = None,
) -> Float[Array, "B t H d"]:
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
    first: the position of the first query, if these are not all queries.
  """
  batch, length, heads, _ = query.shape
  kv_heads = key.shape[2]
  count = -(-length // _LONGEST)
  block = -(-length // (count * _MULTIPLE)) * _MULTIPLE
  rows = _rows_of_group(batch, heads * block**2)
  padding = (0, 0), (0, -key.shape[1] % block)
  segments = jnp.pad(segments, padding, constant_values=_PADDING)
  query, key, value = (
      _to_blocks(_padded(x, block), rows, block, kv_heads)
      for x in (query, key, value)
  )
  starts = _first_visible(segments, window)
  if first is not None:
    starts = jax.lax.dynamic_slice_in_dim(starts, first, length, axis=1)
    # Queries that pad the last block attend to something.
    starts = jnp.pad(starts, ((0, 0), (0, -length % block)), mode="edge")
  starts = starts.reshape(-1, rows, count, block)
  starts = starts.swapaxes(1, 2)
  # Pyright does not know the type of a custom_vjp's result.
  attended: Any = _attend(query, key, value, starts, first, scale, cap, name)
  return _from_blocks(attended, rows, kv_heads, block)[:, :length]


def _padded(x: Float[Array, "B T H d"], block: int) -> Array:
  """Pads positions to whole blocks."""
  return jnp.pad(x, ((0, 0), (0, -x.shape[1] % block), (0, 0), (0, 0)))


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
  if window is not None:
    starts = jnp.maximum(starts, positions - window + 1)
  return starts


def _to_blocks(
    x: Float[Array, "B T H d"], rows: int, block: int, kv_heads: int
) -> Float[Array, "N M P Q d"]:
  """Returns blocks of positions, with the heads of a key head in sequence."""
  length, heads, width = x.shape[1:]
  count, shared = length // block, heads // kv_heads
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


@functools.partial(jax.custom_vjp, nondiff_argnums=(5, 6, 7))
def _attend(
    query: Float[Array, "N m P Q d"],
    key: Float[Array, "N M P S d"],
    value: Float[Array, "N M P S d"],
    starts: Int[Array, "N m R S"],
    first: Int[Array, ""] | None,
    scale: float,
    cap: float,
    name: str,
) -> Float[Array, "N m P Q d"]:
  """Attends in blocks.

  Args:
    query: blocks of queries.
    key: blocks of keys.
    value: blocks of values.
    starts: the first position that each query of R rows attends to.
    first: as in `attend`.
    scale: as in `attend`.
    cap: as in `attend`.
    name: as in `attend`.
  """
  del name
  forward = functools.partial(_forward, scale=scale, cap=cap)
  return _one_by_one(forward)(query, key, value, starts, first)[0]


def _save(
    query: Array,
    key: Array,
    value: Array,
    starts: Array,
    first: Array | None,
    scale: float,
    cap: float,
    name: str,
) -> tuple[Array, tuple[Array | None, ...]]:
  """Returns the result of `_attend`, and what its backward pass needs."""
  forward = functools.partial(_forward, scale=scale, cap=cap)
  results = _one_by_one(forward)(query, key, value, starts, first)
  out, log_sums = checkpoint_name(results, name)
  return out, (query, key, value, starts, first, out, log_sums)


def _pull_back(
    scale: float,
    cap: float,
    name: str,
    saved: tuple[Array | None, ...],
    gradient: Array,
) -> tuple[Array | None, ...]:
  """Returns the gradients by the arrays of `_attend`."""
  del name
  backward = functools.partial(_backward, scale=scale, cap=cap)
  return (*_one_by_one(backward)(*saved, gradient), None, None)


_attend.defvjp(_save, _pull_back)


def _one_by_one(function: Callable[..., Any]) -> Callable[..., Any]:
  """Returns a function that `vmap` maps in sequence.

  Loops of different lengths would otherwise all be as long as the longest one.
  """
  return jax.custom_batching.sequential_vmap(function)


def _forward(
    query: Float[Array, "N m P Q d"],
    key: Float[Array, "N M P S d"],
    value: Float[Array, "N M P S d"],
    starts: Int[Array, "N m R S"],
    first: Int[Array, ""] | None,
    *,
    scale: float,
    cap: float,
) -> tuple[Float[Array, "N m P Q d"], Float[Array, "N m P Q"]]:
  """Returns the attended values, and the logarithms of the softmax's sums."""
  groups, count = query.shape[:2]

  def attend_block(index: Array, results: tuple) -> tuple:
    """Writes the results of a block of queries into those of all."""
    n, i = index // count, index % count
    queries = scale * query[n, i].astype(_F32)

    def add(j: Array, sums: tuple) -> tuple:
      """Adds block j of keys to the highest scores, the sums of the weights
      relative to them, and the sums of weighted values.
      """
      top, total, mixed = sums
      keys, values = key[n, j].astype(_F32), value[n, j].astype(_F32)
      scores = layers.soft_cap(jnp.einsum("pqd,psd->pqs", queries, keys), cap)
      visible = _visible(starts[n, i], i, j, scores.shape, first)
      scores = jnp.where(visible, scores, _HIDDEN)
      new_top = jnp.maximum(top, scores.max(-1))
      weights = jnp.exp(scores - new_top[..., None])
      factor = jnp.exp(top - new_top)
      total = total * factor + weights.sum(-1)
      mixed *= factor[..., None]
      mixed += jnp.einsum("pqs,psd->pqd", weights, values)
      return new_top, total, mixed

    zeros = jnp.zeros(queries.shape[:-1], _F32)
    sums = (zeros + _HIDDEN, zeros, jnp.zeros_like(queries))
    begin = starts[n, i].min() // starts.shape[-1]
    end = _end(i, starts.shape[-1], first)
    top, total, mixed = jax.lax.fori_loop(begin, end, add, sums)
    out, log_sums = results
    out = out.at[n, i].set((mixed / total[..., None]).astype(out.dtype))
    return out, log_sums.at[n, i].set(top + jnp.log(total))

  out = jnp.zeros(query.shape, value.dtype)
  log_sums = jnp.zeros(query.shape[:-1], _F32)
  return jax.lax.fori_loop(0, groups * count, attend_block, (out, log_sums))


def _backward(
    query: Float[Array, "N m P Q d"],
    key: Float[Array, "N M P S d"],
    value: Float[Array, "N M P S d"],
    starts: Int[Array, "N m R S"],
    first: Int[Array, ""] | None,
    out: Float[Array, "N m P Q d"],
    log_sums: Float[Array, "N m P Q"],
    gradient: Float[Array, "N m P Q d"],
    *,
    scale: float,
    cap: float,
) -> tuple[
    Float[Array, "N m P Q d"],
    Float[Array, "N M P S d"],
    Float[Array, "N M P S d"],
]:
  """Returns the gradients by query, key and value.

  Scores are [P, S, Q] here, so that all but one of the products contract the
  last axis of their first factor, which is faster.
  """
  groups, count = query.shape[:2]
  deltas = (out.astype(_F32) * gradient.astype(_F32)).sum(-1)

  def pull_back_block(index: Array, gradients: tuple) -> tuple:
    """Adds what a block of queries contributes to the three gradients."""
    n, i = index // count, index % count
    queries = scale * query[n, i].astype(_F32)
    into = gradient[n, i].astype(_F32)

    def add(j: Array, gradients: tuple) -> tuple:
      """Adds what block j of keys contributes."""
      by_query, by_key, by_value = gradients
      keys, values = key[n, j].astype(_F32), value[n, j].astype(_F32)
      scores = layers.soft_cap(jnp.einsum("psd,pqd->psq", keys, queries), cap)
      shape = (len(scores), scores.shape[2], scores.shape[1])
      visible = _visible(starts[n, i], i, j, shape, first).swapaxes(1, 2)
      # The sums are finite, so that hidden weights are 0.
      hidden = jnp.where(visible, scores, _HIDDEN)
      weights = jnp.exp(hidden - log_sums[n, i][:, None])
      slopes = jnp.einsum("psd,pqd->psq", values, into)
      slopes = weights * (slopes - deltas[n, i][:, None])
      if cap:
        slopes *= 1 - (scores / cap) ** 2
      by_query += jnp.einsum("psq,psd->pqd", slopes, keys)
      by_key_block = jnp.einsum("psq,pqd->psd", slopes, queries)
      by_value_block = jnp.einsum("psq,pqd->psd", weights, into)
      by_key = by_key.at[n, j].add(by_key_block)
      return by_query, by_key, by_value.at[n, j].add(by_value_block)

    by_query, *sums = gradients
    begin = starts[n, i].min() // starts.shape[-1]
    end = _end(i, starts.shape[-1], first)
    block_gradient, *sums = jax.lax.fori_loop(
        begin, end, add, (jnp.zeros_like(queries), *sums)
    )
    block_gradient = (scale * block_gradient).astype(query.dtype)
    return by_query.at[n, i].set(block_gradient), *sums

  gradients = (
      jnp.zeros_like(query),
      jnp.zeros(key.shape, _F32),
      jnp.zeros(value.shape, _F32),
  )
  by_query, by_key, by_value = jax.lax.fori_loop(
      0, groups * count, pull_back_block, gradients
  )
  return by_query, by_key.astype(key.dtype), by_value.astype(value.dtype)


def _end(i: Array, block: int, first: Array | None) -> Array:
  """Returns the number of blocks of keys up to the end of a block of queries."""
  if first is None:
    return i + 1
  return (first + (i + 1) * block - 1) // block + 1


def _visible(
    starts: Int[Array, "R S"],
    i: Array,
    j: Array,
    shape: tuple[int, ...],
    first: Array | None,
) -> Bool[Array, "P Q S"]:
  """Returns which keys of block j the queries of block i attend to.

  Args:
    starts: the first position that each query attends to.
    i: number of the block of queries.
    j: number of the block of keys.
    shape: P, Q and S.
    first: the position of the first of all queries.
  """
  (rows, block), (heads, size, _) = starts.shape, shape
  offsets = jnp.arange(block)
  keys, queries = j * block + offsets, i * block + offsets
  if first is not None:
    queries += first
  visible = (keys >= starts[..., None]) & (keys <= queries[:, None])
  by_head = (rows, heads // rows, block, size // block, block)
  return jnp.broadcast_to(visible[:, None, :, None], by_head).reshape(shape)
