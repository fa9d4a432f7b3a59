"""Computes checksums of arrays on the devices that hold them.

The bits of each element are mixed with its position in the whole array into 32
bits. These are added up twice: once plainly, and once weighted by odd numbers.
Integer sums do not depend on the order of the terms, so a checksum does not
depend on the mesh or the number of processes. A change to one element always
changes both sums; a change to several escapes with a probability of 2^-64.
"""

from collections.abc import Mapping
import functools
import math
from typing import Any

import jax
from jax import numpy as jnp
import numpy as np

# Elements that are mixed at once, so that no large array is ever copied.
_AT_ONCE = 2**20
# Odd weights of the first axes; they repeat for further axes.
_WEIGHTS = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1)
_SPREAD = np.uint32(0x9E3779B9)


def checksums(tree: Any) -> dict[str, str]:
  """Returns the checksum of every array of a tree, by path.

  Nothing is gathered; each device processes its own part. All processes must
  call this, and all get the same result.

  Args:
    tree: arrays of any shape and element type, PRNG keys among them.

  Returns:
    For example {"params/embedding": "float32[512,64] 0123456789abcdef"}.
  """
  leaves = leaves_by_path(tree)
  sums = {path: _sums_of(leaf) for path, leaf in leaves.items()}
  return {
      path: f"{_kind(leaves[path])} {int(first):08x}{int(second):08x}"
      for path, (first, second) in jax.device_get(sums).items()
  }


def kinds(tree: Any) -> dict[str, str]:
  """Returns the dtype and shape of every leaf of a tree, by path."""
  return {path: _kind(leaf) for path, leaf in leaves_by_path(tree).items()}


def differing(
    actual: Mapping[str, str], expected: Mapping[str, str]
) -> list[str]:
  """Returns the paths that differ or are only in one mapping, sorted."""
  paths = {*actual, *expected}
  return sorted(p for p in paths if actual.get(p) != expected.get(p))


def leaves_by_path(tree: Any) -> dict[str, Any]:
  """Returns the leaves of a tree by path; all kinds of keys look alike."""
  return {
      jax.tree_util.keystr(_plain(path), simple=True, separator="/"): leaf
      for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
  }


def _plain(path: tuple) -> tuple:
  """Returns the path with attribute and index keys as dictionary keys."""
  names = (
      getattr(key, "name", getattr(key, "key", getattr(key, "idx", key)))
      for key in path
  )
  return tuple(jax.tree_util.DictKey(str(name)) for name in names)


def _kind(leaf: Any) -> str:
  """Returns the dtype and shape of a leaf."""
  return f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]"


def _sums_of(leaf: Any) -> jax.Array:
  """Returns both sums of an array, uint32 [2], on every device."""
  if isinstance(leaf, np.ndarray) and leaf.dtype.itemsize > 4:
    with jax.enable_x64(True):  # Otherwise JAX would round it to 32 bits.
      return _sums_of(jnp.asarray(leaf))
  leaf = jnp.asarray(leaf)
  if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
    leaf = jax.random.key_data(leaf)
  sharding = leaf.sharding
  is_named = isinstance(sharding, jax.sharding.NamedSharding)
  return _program(sharding if is_named else None)(leaf)


@functools.cache
def _program(sharding: jax.sharding.NamedSharding | None) -> Any:
  """Returns the compiled sums for a sharding; None is a single device."""
  if sharding is None:
    return jax.jit(
        lambda full_shape: _sums(
            full_shape, (0,) * full_shape.ndim, full_shape.shape
        )
    )
  axes = [
      () if names is None else (names,) if isinstance(names, str) else names
      for names in sharding.spec
  ]
  split = tuple(name for names in axes for name in names)

  def sums_of_part(part: jax.Array) -> jax.Array:
    """Returns the sums of a device's part."""
    names = [*axes, *[()] * (part.ndim - len(axes))]
    begin, full_shape = [], []
    for axis, size in zip(names, part.shape, strict=True):
      begin.append(jax.lax.axis_index(axis) * size if axis else 0)
      full_shape.append(size * math.prod(sharding.mesh.shape[n] for n in axis))
    sums = _sums(part, tuple(begin), tuple(full_shape))
    return jax.lax.psum(sums, split) if split else sums

  return jax.jit(
      jax.shard_map(
          sums_of_part,
          mesh=sharding.mesh,
          in_specs=sharding.spec,
          out_specs=jax.sharding.PartitionSpec(),
          check_vma=False,
      )
  )


def _sums(
    part: jax.Array, begin: tuple, full_shape: tuple[int, ...]
) -> jax.Array:
  """Returns both sums of a part of an array, block by block, uint32 [2].

  Args:
    part: the part on one device.
    begin: the indices of its first element in the whole array.
    full_shape: the shape of the whole array.
  """
  if part.size <= _AT_ONCE:
    return _sums_of_block(part, begin, full_shape)

  # A block: one of each axis before `axis`, several of this, all of the rest.
  rest = [math.prod(part.shape[i + 1 :]) for i in range(part.ndim)]
  axis = next(i for i, size in enumerate(rest) if size <= _AT_ONCE)
  length = part.shape[axis]
  block_length = min(length, _AT_ONCE // rest[axis])
  counts = (*part.shape[:axis], -(-length // block_length))
  shape = (*(1,) * axis, block_length, *part.shape[axis + 1 :])

  def add_block(number: jax.Array, sums: jax.Array) -> jax.Array:
    """Adds the sums of a block."""
    *before, turn = jnp.unravel_index(number, counts)
    # The last block begins earlier; elements of the block before are left out.
    start = jnp.minimum(turn * block_length, length - block_length)
    starts = (*before, start, *(0,) * (part.ndim - axis - 1))
    block = jax.lax.dynamic_slice(part, starts, shape)
    block_begin = tuple(a + b for a, b in zip(begin, starts, strict=True))
    new = jax.lax.broadcasted_iota(jnp.int32, shape, axis)
    new = new >= turn * block_length - start
    return sums + _sums_of_block(block, block_begin, full_shape, new)

  zeros = jnp.zeros(2, jnp.uint32)
  return jax.lax.fori_loop(0, math.prod(counts), add_block, zeros)


def _sums_of_block(
    block: jax.Array,
    begin: tuple,
    full_shape: tuple[int, ...],
    counted: jax.Array | bool = True,
) -> jax.Array:
  """Returns both sums of the counted elements of a block, uint32 [2]."""
  flat, weight = jnp.uint32(0), jnp.uint32(0)
  for axis in range(block.ndim):
    shape = [1] * block.ndim
    shape[axis] = block.shape[axis]
    index = jax.lax.broadcasted_iota(jnp.uint32, shape, axis)
    index += jnp.asarray(begin[axis]).astype(jnp.uint32)
    stride = math.prod(full_shape[axis + 1 :]) % 2**32  # Beyond that it wraps.
    flat = flat + index * np.uint32(stride)
    weight = weight + index * np.uint32(_WEIGHTS[axis % len(_WEIGHTS)])
  sums = jnp.zeros(2, jnp.uint32)
  index = flat * _SPREAD
  for bits in _words(block):
    mixed = jnp.where(counted, _mixed(bits ^ index), 0)
    sums += jnp.stack([_sum(mixed), _sum(mixed * (2 * weight + 1))])
    index, weight = _mixed(~index), weight + np.uint32(_WEIGHTS[-1])
  return sums


def _words(block: jax.Array) -> list[jax.Array]:
  """Returns the bits of each element as uint32: one array, or two of 64 bits."""
  if block.dtype == jnp.bool_:
    return [block.astype(jnp.uint32)]
  width = min(32, jax.dtypes.itemsize_bits(block.dtype))
  bits = jax.lax.bitcast_convert_type(block, f"uint{width}")
  if bits.ndim > block.ndim:  # With JAX_ENABLE_X64.
    return [bits[..., 0], bits[..., 1]]
  return [bits.astype(jnp.uint32)]


def _mixed(bits: jax.Array) -> jax.Array:
  """Mixes bits by MurmurHash3's finalizer, which is a bijection."""
  bits ^= bits >> 16
  bits *= np.uint32(0x85EBCA6B)
  bits ^= bits >> 13
  bits *= np.uint32(0xC2B2AE35)
  return bits ^ (bits >> 16)


def _sum(values: jax.Array) -> jax.Array:
  return values.sum(dtype=jnp.uint32)
