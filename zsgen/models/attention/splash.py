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
import numpy as np

from zsgen.models import execution
from zsgen.models.arrays import Array

# Blocks are multiples of the 128 lanes. Larger blocks take fewer steps; blocks
# of 512 fit into the memory of the cores on every chip.
_LANES = 128
_BLOCKS = (512, 384, 256)
# The segment of positions that pad the last block. They come after all other
# positions, so that causality hides them; they attend to each other.
PADDING = -1


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
    interpret: bool,
    first: Int[Array, ""] | None = None,
) -> Float[Array, "B t H d"]:
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
    first: the position of the first query, if these are not all queries; a
      multiple of their number.
  """
  length, heads = query.shape[1:3]
  block = block_side(length)
  query, key, value = (
      to_blocks(x, block) for x in (scaled(query, scale), key, value)
  )
  padding = (0, 0), (0, -segments.shape[1] % block)
  key_segments = jnp.pad(segments, padding, constant_values=PADDING)
  key_segments = key_segments.astype(jnp.int32)
  query_segments = key_segments
  shards = segments.shape[1] // length
  mask = causal_mask(length, shards, block, window)
  kernel = _kernel(mask, heads, shards, block, cap, name, interpret)
  if first is not None:
    kernel = _part(kernel, first // length, shards)
    own = jax.lax.dynamic_slice_in_dim(segments, first, length, axis=1)
    padding = (0, 0), (0, -length % block)
    query_segments = jnp.pad(own, padding, mode="edge").astype(jnp.int32)
  if query.dtype == jnp.float32:
    kernel = _precise(kernel)
  ids = splash_attention.SegmentIds(query_segments, key_segments)
  return jax.vmap(kernel)(query, key, value, ids)[:, :, :length].swapaxes(1, 2)


def scaled(
    query: Float[Array, "B T H d"], scale: float
) -> Float[Array, "B T H d"]:
  """Multiplies in float32, and returns the type of the query."""
  return (query.astype(jnp.float32) * scale).astype(query.dtype)


def to_blocks(
    x: Float[Array, "B T H d"], block: int
) -> Float[Array, "B H t d"]:
  """Moves heads to the front and pads positions to whole blocks."""
  padding = (0, 0), (0, 0), (0, -x.shape[1] % block), (0, 0)
  return jnp.pad(x.swapaxes(1, 2), padding)


def block_side(length: int) -> int:
  """Returns the side of the square blocks, with the least padding."""
  if length <= _BLOCKS[0]:
    return -(-length // _LANES) * _LANES
  return min(_BLOCKS, key=lambda block: -length % block)


def causal_mask(
    length: int, shards: int, block: int, window: int | None
) -> Any:
  """Returns the mask of the queries of all shards, by whole blocks.

  Args:
    length: queries of a shard.
    shards: parts of a row.
    block: side of the blocks.
    window: as in `attend`.
  """
  padded = -(-length // block) * block
  shape = (shards * padded, -(-shards * length // block) * block)
  mask = splash_attention.CausalMask(shape)
  if window is not None:
    mask = splash_attention.LocalMask(shape, (window - 1, 0), 0)
  if shards > 1:
    # What pads the queries of a shard sees the same as its last query.
    offsets = np.minimum(np.arange(padded), length - 1)
    begins = length * np.arange(shards)[:, None]
    mask.q_sequence = (begins + offsets).reshape(-1).astype(np.int32)
  return mask


def _part(kernel: Any, index: Array, shards: int) -> Any:
  """Returns the kernel of the queries of one shard, given that of all."""

  def cut(leaf: Array | None, axis: int) -> Array | None:
    """Returns the shard's part of an axis; None if there is no array."""
    if leaf is None:
      return None
    size = leaf.shape[axis] // shards
    return jax.lax.dynamic_slice_in_dim(leaf, index * size, size, axis)

  def part(info: Any) -> Any:
    """Returns the information on a mask, for the queries of the shard."""
    return info._replace(
        data_next=cut(info.data_next, 1),
        mask_next=cut(info.mask_next, 1),
        block_mask=cut(info.block_mask, 1),
        q_sequence=cut(info.q_sequence, 0),
    )

  leaves, fields = kernel.tree_flatten()
  return type(kernel).tree_unflatten(fields, map(part, leaves))


def _kernel(
    mask: Any,
    heads: int,
    shards: int,
    block: int,
    cap: float,
    name: str,
    interpret: bool,
) -> Callable[..., Array]:
  """Returns a map of [H, t, d], [K, T, d] twice and segment ids to [H, t, d].

  Args:
    mask: of `causal_mask`, for each head.
    heads: number of query heads.
    shards: parts of a row.
    block: side of the blocks.
    cap: as in `attend`.
    name: as in `attend`.
    interpret: as in `attend`.
  """
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
        q_seq_shards=shards,
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
    """Returns the kernel's result and the pullback of its gradients."""
    with context():
      return jax.vjp(kernel, *args)

  def backward(pullback: Callable[..., tuple], out: Array) -> tuple:
    """Returns the gradients by the kernel's inputs."""
    with context():
      return pullback(out)

  @jax.custom_vjp
  def run(*args: Any) -> Array:
    """Returns the kernel's result."""
    with context():
      return kernel(*args)

  run.defvjp(forward, backward)
  return run
