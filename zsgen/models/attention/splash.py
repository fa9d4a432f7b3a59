"""Attention on a TPU: JAX's splash kernels, which skip hidden blocks.

They skip blocks by causality and window, which are known at compile time;
segments are masked within the blocks.
"""

from collections.abc import Callable
import functools
from typing import Any

import jax
from jax import numpy as jnp
from jax.experimental.pallas.ops.tpu import splash_attention
from jaxtyping import Float, Int

from zsgen.models import execution
from zsgen.models.arrays import Array

# Blocks are multiples of the 128 lanes. Larger blocks take fewer steps; blocks of
# 512 fit into the memory of the cores on every chip.
_LANES = 128
_BLOCKS = (512, 384, 256)
# The segment of positions that pad the last block. They come after all other
# positions, so that causality hides them; they attend to each other.
_PADDING = -1


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
    interpret: bool,
) -> Float[Array, "B T H d"]:
  """Computes `attention.attend` on one device.

  The query is scaled before it is rounded to its type; powers of two change no
  digit.

  Args:
    query: H heads.
    key: K heads.
    value: as `key`.
    segments: 0 or more.
    scale: factor of the scores.
    cap: soft cap of the scores; 0 for none.
    window: number of positions to attend to, including the position itself;
      None for all.
    name: checkpoint name of the result and of the residuals of the backward
      pass.
    interpret: whether to run without a TPU.
  """
  length, heads = query.shape[1:3]
  block = _block(length)
  padding = -length % block
  query = (query.astype(jnp.float32) * scale).astype(query.dtype)
  query, key, value = (
      jnp.pad(x.swapaxes(1, 2), ((0, 0), (0, 0), (0, padding), (0, 0)))
      for x in (query, key, value)
  )
  segments = jnp.pad(
      segments, ((0, 0), (0, padding)), constant_values=_PADDING
  ).astype(jnp.int32)
  kernel = _kernel(heads, length + padding, block, cap, window, name, interpret)
  if query.dtype == jnp.float32:
    kernel = _precise(kernel)
  ids = splash_attention.SegmentIds(segments, segments)
  return jax.vmap(kernel)(query, key, value, ids)[:, :, :length].swapaxes(1, 2)


def _block(length: int) -> int:
  """Returns the side of the square blocks, with the least padding."""
  if length <= _BLOCKS[0]:
    return -(-length // _LANES) * _LANES
  return min(_BLOCKS, key=lambda block: -length % block)


def _kernel(
    heads: int,
    length: int,
    block: int,
    cap: float,
    window: int | None,
    name: str,
    interpret: bool,
) -> Callable[..., Array]:
  """Returns a map of [H, T, d], [K, T, d] twice and segment ids [T] to [H, T,
  d].
  """
  shape = (length, length)
  mask = splash_attention.CausalMask(shape)
  if window is not None:
    mask = splash_attention.LocalMask(shape, (window - 1, 0), 0)
  # Two backward kernels: the fused kernel stores the query's gradient once per
  # block of keys, in the type of the query, and does not skip windows.
  names = ("q", "kv", "kv_compute", "q_dkv", "kv_dkv", "kv_dkv_compute")
  names += ("q_dq", "kv_dq")
  sizes: dict[str, Any] = {f"block_{name}": block for name in names}
  blocks = splash_attention.BlockSizes(**sizes)
  # Masks are constants, even if this is called while tracing.
  with jax.ensure_compile_time_eval():
    kernel: Any = splash_attention.make_splash_mha(
        splash_attention.MultiHeadMask([mask] * heads),
        block_sizes=blocks,
        attn_logits_soft_cap=cap or None,
        head_shards=1,
        q_seq_shards=1,
        residual_checkpoint_name=name,
        interpret=interpret,
    )
  return kernel


def _precise(kernel: Callable[..., Array]) -> Callable[..., Array]:
  """Returns the kernel with float32 products, also in its backward pass.

  The backward kernels are traced when the gradient is taken, which is outside
  of the context of the forward pass.
  """
  context = functools.partial(execution.precision, "float32")

  def forward(*args: Any) -> tuple[Array, Callable[..., tuple]]:
    with context():
      return jax.vjp(kernel, *args)

  def backward(pullback: Callable[..., tuple], out: Array) -> tuple:
    with context():
      return pullback(out)

  @jax.custom_vjp
  def run(*args: Any) -> Array:
    with context():
      return kernel(*args)

  run.defvjp(forward, backward)
  return run
