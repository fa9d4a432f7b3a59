"""Causal attention within segments."""

import jax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from zsgen.models import execution as execution_lib
from zsgen.models import layers

# Queries are taken in blocks, each against the keys up to its own end: about
# half of the score matrix is never computed. Blocks are unrolled, hence at
# most _MOST_BLOCKS of them.
_SMALLEST_BLOCK = 128
_MOST_BLOCKS = 8
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
    cap: float = 0.0,
    window: int | None = None,
    execution: execution_lib.Execution = execution_lib.PLAIN,
) -> Float[Array, "B T H d"]:
  """Softmax attention to the earlier positions of the same segment.

  Args:
    query: H heads; head h reads key and value head h // (H / K).
    key: K heads, a divisor of H.
    value: as `key`.
    segments: the number of each position's segment. Padding is a segment too,
      seen by itself only.
    scale: of the scores.
    cap: soft cap of the scores; 0 for none.
    window: positions that each one sees, itself counted; None for all.
    execution: which backend, and where.

  Returns:
    The attended values, in the type of `value`; softmax is in float32.
  """
  del execution
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
    visible = _visible(segments, begin, end, first, window)
    scores = _scores(grouped[:, :, :, begin:end], key[:, :, first:end])
    scores = layers.soft_cap(scale * scores, cap)
    scores = jnp.where(visible[:, None, None], scores, _HIDDEN)
    weights = jax.nn.softmax(scores).astype(value.dtype)
    seen = value[:, :, first:end]
    blocks.append(jnp.einsum("bkgts,bksd->bkgtd", weights, seen))
  joined = jnp.concatenate(blocks, axis=3)
  return joined.transpose(0, 3, 1, 2, 4).reshape(query.shape)


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
  """Softmax attention of one new position a row, to the past and to itself.

  Args:
    query: H heads of the new position.
    key: K heads of it.
    value: as `key`.
    past: keys and values of S slots.
    visible: which of them are seen.
    scale: of the scores.
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
  scores = [layers.soft_cap(scale * each, cap) for each in scores]
  scores[0] = jnp.where(visible[:, None, None], scores[0], _HIDDEN)
  # The past is never joined with the present: it would be copied every time.
  top = jnp.maximum(scores[0].max(-1, keepdims=True), scores[1])
  weights = [jnp.exp(each - top) for each in scores]
  total = weights[0].sum(-1, keepdims=True) + weights[1]
  mixed = [
      jnp.einsum(
          "bkgs,bskd->bkgd", (weight / total).astype(values.dtype), values
      )
      for weight, values in zip(weights, (past[1], value), strict=True)
  ]
  return (mixed[0] + mixed[1]).reshape(query.shape)


def _scores(query: Array, key: Array) -> Array:
  return jnp.einsum(
      "bkgtd,bksd->bkgts", query, key, preferred_element_type=jnp.float32
  )


def _visible(
    segments: Array, begin: int, end: int, first: int, window: int | None
) -> Array:
  """Which of [first, end) each of [begin, end) sees: bool [B, t, s]."""
  queries = jnp.arange(begin, end)[:, None]
  keys = jnp.arange(first, end)
  visible = queries >= keys
  if window is not None:
    visible &= queries - keys < window
  same = segments[:, begin:end, None] == segments[:, None, first:end]
  return visible & same
