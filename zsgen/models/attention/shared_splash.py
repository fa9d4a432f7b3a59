"""Attention of segments that share prefixes, on a TPU: two splash kernels.

The first attends to the segment, the second one to its prefix, and the results
are merged by the logsumexp of their scores. Kernels mask by equal numbers: the
number of a segment is its first position, and queries of the second kernel have
that of their prefix. There is no backward pass.
"""

import functools
from typing import Any

import jax
from jax import numpy as jnp
from jax.experimental.pallas.ops.tpu import splash_attention
from jaxtyping import Bool, Float, Int
import numpy as np

from zsgen.models import execution
from zsgen.models.arrays import Array
from zsgen.models.attention import splash

# The number of the prefix of queries that have none. No key has it.
_NO_PREFIX = -2


class _PrefixMask(splash_attention.Mask):
  """Hides what is before the windows of queries that follow their prefix.

  Kernels compute the blocks of a causal mask. Other keys than those of the
  prefix are hidden by their numbers.

  Args:
    shape: numbers of queries and keys.
    window: number of positions to attend to, including the position itself.

  Attributes:
    q_sequence: the position of each query; one that follows its prefix at once
      replaces it when the program runs.
    mask_function: returns whether keys are in the windows of queries, given the
      positions of both.
  """

  def __init__(self, shape: tuple[int, int], window: int):
    self._blocks = splash_attention.CausalMask(shape)
    self._window = window
    self.q_sequence = self._blocks.q_sequence
    self.mask_function = functools.partial(_is_within, window=window)

  @property
  def shape(self) -> tuple[int, ...]:
    """Numbers of queries and keys."""
    return self._blocks.shape

  def __getitem__(self, idx: Any) -> np.ndarray:
    return self._blocks[idx]

  def __eq__(self, other: object) -> bool:
    return isinstance(other, _PrefixMask) and self._key == other._key

  def __hash__(self) -> int:
    return hash(self._key)

  @property
  def _key(self) -> tuple[Any, ...]:
    return self.shape, self._window


def attend(
    query: Float[Array, "B T H d"],
    key: Float[Array, "B T K d"],
    value: Float[Array, "B T K d"],
    spans: tuple[Array, Array, Array],
    *,
    scale: float,
    cap: float,
    window: int | None,
    interpret: bool,
) -> Float[Array, "B T H d"]:
  """Computes `attention.attend_shared` on one device.

  Args:
    query: H heads.
    key: K heads.
    value: as `key`.
    spans: `shared.Spans`.
    scale: factor of the scores.
    cap: soft cap of the scores; 0 for none.
    window: number of positions to attend to, including the position itself;
      None for all.
    interpret: whether to run without a TPU.
  """
  length, heads = query.shape[1:3]
  block = splash.block_side(length)
  arrays = [
      splash.to_blocks(x, block)
      for x in (splash.scaled(query, scale), key, value)
  ]
  size = arrays[0].shape[2]
  make = functools.partial(
      _kernel, heads=heads, block=block, cap=cap, interpret=interpret
  )
  own_kernel = make(splash.causal_mask(length, 1, block, window))
  prefix_kernel = make(_PrefixMask((size, size), window or size))

  def attend_row(
      arrays: Any, segments: jax.Array, prefixes: jax.Array, positions: Array
  ) -> Float[Array, "H t d"]:
    """Attends to the segments and to the prefixes of a row."""
    own = splash_attention.SegmentIds(segments, segments)
    prefix = splash_attention.SegmentIds(prefixes, segments)
    return _merge(
        own_kernel(*arrays, own),
        _moved(prefix_kernel, positions)(*arrays, prefix),
    )

  with execution.precision(query.dtype.name):
    attended = jax.vmap(attend_row)(arrays, *_numbers(spans, size))
  return attended[:, :, :length].swapaxes(1, 2)


def _numbers(
    spans: tuple[Array, Array, Array], size: int
) -> tuple[Int[jax.Array, "B t"], Int[jax.Array, "B t"], Int[jax.Array, "B t"]]:
  """Returns what kernels mask by, padded to whole blocks.

  Args:
    spans: `shared.Spans`.
    size: positions of the blocks of a row.

  Returns:
    The number of the segment of each position, that of its prefix, and its
    position if its segment followed its prefix at once.
  """
  begin, prefix_begin, prefix_end = spans
  has_prefix = prefix_begin < prefix_end
  prefixes = jnp.where(has_prefix, prefix_begin, _NO_PREFIX)
  positions = prefix_end + jnp.arange(begin.shape[1]) - begin

  def pad(x: Array, rest: int) -> jax.Array:
    """Returns an array [B, T] as int32 [B, size], filled up with `rest`."""
    padding = (0, 0), (0, size - x.shape[1])
    return jnp.pad(x, padding, constant_values=rest).astype(jnp.int32)

  return (
      pad(begin, splash.PADDING),
      pad(prefixes, _NO_PREFIX),
      pad(positions, 0),
  )


def _kernel(
    mask: Any, *, heads: int, block: int, cap: float, interpret: bool
) -> Any:
  """Returns a map of [H, t, d], [K, t, d] twice and segment ids to [H, t, d]
  and a tuple of the logsumexp of the scores, float32 [H, t].

  Args:
    mask: the mask of each head.
    heads: number of query heads.
    block: side of the blocks.
    cap: as in `attend`.
    interpret: as in `attend`.
  """
  # Masks are constants, even if this is called while tracing.
  with jax.ensure_compile_time_eval():
    return splash_attention.make_splash_mha(
        splash_attention.MultiHeadMask([mask] * heads),
        block_sizes=splash_attention.BlockSizes(block, block),
        save_residuals=True,
        attn_logits_soft_cap=cap or None,
        head_shards=1,
        q_seq_shards=1,
        interpret=interpret,
    )


def _moved(kernel: Any, positions: Int[Array, "t"]) -> Any:
  """Returns a kernel that masks as if queries were at other positions."""
  (info, *backward), fields = kernel.tree_flatten()
  info = info._replace(q_sequence=positions)
  return type(kernel).tree_unflatten(fields, (info, *backward))


def _merge(
    own: tuple[Float[Array, "H t d"], tuple[Float[Array, "H t"]]],
    prefix: tuple[Float[Array, "H t d"], tuple[Float[Array, "H t"]]],
) -> Float[Array, "H t d"]:
  """Returns one softmax over the keys of two, given values and logsumexps.

  A query that sees no key has a logsumexp of about -1e38, and finite values.
  """
  (own_values, (own_sum,)), (prefix_values, (prefix_sum,)) = own, prefix
  weight = jax.nn.sigmoid(prefix_sum - own_sum)[..., None]
  difference = prefix_values.astype(jnp.float32) - own_values
  return (own_values + weight * difference).astype(own_values.dtype)


def _is_within(
    queries: Array, keys: Array, *, window: int
) -> Bool[Array, "*t"]:
  """Returns whether keys are at most `window` - 1 positions before queries."""
  return queries - keys < window
