"""Attention of segments that share prefixes, for evaluation.

A prefix is a segment of its own, before its members in the same row. The
positions of a member begin where those of its prefix end, so that distances
are those of a segment that holds both.
"""

import functools
from typing import NamedTuple

import jax
from jax import numpy as jnp
from jaxtyping import Bool, Float

from zsgen.models import execution as execution_lib
from zsgen.models import layers
from zsgen.models.arrays import Array
from zsgen.models.attention import cudnn, split

# Backends that cannot compute it: their kernels mask by equal numbers of
# segments alone.
_NO_PREFIXES = ("splash",)
# As in `blocks`: keys after a block of queries are skipped.
_SMALLEST_BLOCK, _MOST_BLOCKS = 128, 8
# Finite, so that a row can never become NaN.
_HIDDEN = -1e30


class Sight(NamedTuple):
  """What each position attends to. Axes: B rows, T positions.

  Attributes:
    segments: the number of its segment, int32 [B, T].
    prefixes: the number of the segment that is its prefix, int32 [B, T]; its
      own segment if it has none.
    positions: its position, which continues that of its prefix, int32 [B, T].
  """

  segments: Array
  prefixes: Array
  positions: Array


def shares_prefixes(execution: execution_lib.Execution) -> bool:
  """Returns whether the backend can compute `attend_shared`."""
  return execution.attention not in _NO_PREFIXES


def attend_shared(
    query: Float[Array, "B T H d"],
    key: Float[Array, "B T K d"],
    value: Float[Array, "B T K d"],
    sight: Sight,
    *,
    scale: float,
    cap: float = 0.0,
    window: int | None = None,
    execution: execution_lib.Execution = execution_lib.PLAIN,
) -> Float[Array, "B T H d"]:
  """Attends to the earlier positions of a segment and of its prefix.

  Args:
    query: H heads; head h reads key and value head h // (H / K).
    key: K heads, a divisor of H.
    value: as `key`.
    sight: segments and their prefixes.
    scale: factor of the scores.
    cap: soft cap of the scores; 0 for none. The backend "cudnn" has none.
    window: number of positions to attend to, including the position itself;
      None for all.
    execution: the backend and the mesh. All but "cudnn" compute it in plain
      operations.

  Returns:
    The attended values, in the type of `value`; softmax is in float32.
  """
  if execution.attention != "cudnn":
    return _attend_plain(
        query, key, value, sight, scale=scale, cap=cap, window=window
    )
  assert not cap, "execution.choose_backend selects another backend for caps"
  run = functools.partial(
      _attend_cudnn,
      scale=scale,
      window=window,
      is_gpu=execution.platform == "gpu",
  )
  return split.split_over(execution.mesh, run)(query, key, value, sight)


def _attend_cudnn(
    query: Float[Array, "B T H d"],
    key: Float[Array, "B T K d"],
    value: Float[Array, "B T K d"],
    sight: Sight,
    *,
    scale: float,
    window: int | None,
    is_gpu: bool,
) -> Float[Array, "B T H d"]:
  """Computes `attend_shared` without a cap, on one device."""
  visible = _visible(sight, sight, window)
  return cudnn.attend_visible(
      query,
      key,
      value,
      visible,
      scale=scale,
      implementation="cudnn" if is_gpu else "xla",
  )


def _attend_plain(
    query: Float[Array, "B T H d"],
    key: Float[Array, "B T K d"],
    value: Float[Array, "B T K d"],
    sight: Sight,
    *,
    scale: float,
    cap: float,
    window: int | None,
) -> Float[Array, "B T H d"]:
  """Computes `attend_shared` on any devices: XLA partitions it by itself."""
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
    visible = _visible(_part(sight, begin, end), _part(sight, 0, end), window)
    scores = jnp.einsum(
        "bkgtd,bksd->bkgts",
        grouped[:, :, :, begin:end],
        key[:, :, :end],
        preferred_element_type=jnp.float32,
    )
    scores = layers.soft_cap(scale * scores, cap)
    scores = jnp.where(visible[:, None, None], scores, _HIDDEN)
    weights = jax.nn.softmax(scores).astype(value.dtype)
    blocks.append(jnp.einsum("bkgts,bksd->bkgtd", weights, value[:, :, :end]))
  joined = jnp.concatenate(blocks, axis=3)
  return joined.transpose(0, 3, 1, 2, 4).reshape(query.shape)


def _part(sight: Sight, begin: int, end: int) -> Sight:
  """Returns the sight of successive positions."""
  return jax.tree.map(lambda array: array[:, begin:end], sight)


def _visible(
    queries: Sight, keys: Sight, window: int | None
) -> Bool[Array, "B t s"]:
  """Returns which keys each query sees."""
  segments = keys.segments[:, None]
  visible = segments == queries.segments[..., None]
  visible |= segments == queries.prefixes[..., None]
  # Within a segment and its prefix, positions ascend.
  distances = queries.positions[..., None] - keys.positions[:, None]
  visible &= distances >= 0
  return visible if window is None else visible & (distances < window)
