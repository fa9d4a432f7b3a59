"""Attention on a TPU: JAX's splash kernels, which skip what a mask hides.

They skip by causality and window, which are known when a program is compiled;
segments are masked inside.
"""

from collections.abc import Callable
import functools

import jax
from jax import numpy as jnp
from jax.experimental.pallas.ops.tpu import splash_attention
from jaxtyping import Array, Float, Int

from zsgen.models import execution

# Blocks are multiples of the 128 lanes. Larger ones make fewer steps; those of
# 512 are what fits the memory beside the cores on every chip.
_LANES = 128
_BLOCKS = (512, 384, 256)
# The segment of positions that only fill up the last block. They come after
# all others, so that causality hides them too; they see each other.
_FILLED = -1


def attend(
    query: Float[Array, "B T H d"],
    key: Float[Array, "B T K d"],
    value: Float[Array, "B T K d"],
    segments: Int[Array, "B T"],
    *,
    scale: float,
    cap: float,
    window: int | None,
    interpret: bool,
) -> Float[Array, "B T H d"]:
  """As `attention.attend`, on one device.

  The scale goes into the query before it is rounded to its type; powers of two
  change no digit.

  Args:
    query: H heads.
    key: K heads.
    value: as `key`.
    segments: 0 or more.
    scale: of the scores.
    cap: soft cap of the scores; 0 for none.
    window: positions that each one sees, itself counted; None for all.
    interpret: whether to run without a TPU.
  """
  length, heads = query.shape[1:3]
  block = _block(length)
  beyond = -length % block
  query = (query.astype(jnp.float32) * scale).astype(query.dtype)
  query, key, value = (
      jnp.pad(x.swapaxes(1, 2), ((0, 0), (0, 0), (0, beyond), (0, 0)))
      for x in (query, key, value)
  )
  segments = jnp.pad(
      segments, ((0, 0), (0, beyond)), constant_values=_FILLED
  ).astype(jnp.int32)
  kernel = _kernel(heads, length + beyond, block, cap, window, interpret)
  if query.dtype == jnp.float32:
    kernel = _precise(kernel)
  ids = splash_attention.SegmentIds(segments, segments)
  return jax.vmap(kernel)(query, key, value, ids)[:, :, :length].swapaxes(1, 2)


def _block(length: int) -> int:
  """Side of the square blocks: the one that leaves least to fill up."""
  if length <= _BLOCKS[0]:
    return -(-length // _LANES) * _LANES
  return min(_BLOCKS, key=lambda block: -length % block)


def _kernel(
    heads: int,
    length: int,
    block: int,
    cap: float,
    window: int | None,
    interpret: bool,
) -> Callable[..., Array]:
  """From [H, T, d], [K, T, d] twice and segment ids [T] to [H, T, d]."""
  shape = (length, length)
  mask = splash_attention.CausalMask(shape)
  if window is not None:
    mask = splash_attention.LocalMask(shape, (window - 1, 0), 0)
  # Two backward kernels: the fused one keeps the query's gradient once for
  # each block of keys, in the type of the query, and skips no window.
  names = ("q", "kv", "kv_compute", "q_dkv", "kv_dkv", "kv_dkv_compute")
  names += ("q_dq", "kv_dq")
  return splash_attention.make_splash_mha(
      splash_attention.MultiHeadMask([mask] * heads),
      block_sizes=splash_attention.BlockSizes(
          **{f"block_{name}": block for name in names}
      ),
      attn_logits_soft_cap=cap or None,
      head_shards=1,
      q_seq_shards=1,
      interpret=interpret,
  )


def _precise(kernel: Callable[..., Array]) -> Callable[..., Array]:
  """The kernel with float32 products, in its backward pass too.

  The backward kernels are traced when the gradient is taken, which is outside
  whatever context the forward pass was called in.
  """
  context = functools.partial(execution.precision, "float32")

  def forward(*args: Array) -> tuple[Array, Callable[..., tuple]]:
    with context():
      return jax.vjp(kernel, *args)

  def backward(back: Callable[..., tuple], out: Array) -> tuple:
    with context():
      return back(out)

  @jax.custom_vjp
  def run(*args: Array) -> Array:
    with context():
      return kernel(*args)

  run.defvjp(forward, backward)
  return run
