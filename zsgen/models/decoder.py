"""The decoder: one module for every family of the field.

Pre-norm blocks of causal attention and an MLP are scanned over their repeating
pattern; remaining blocks follow one by one. What differs between families
(norms, positions, windows, gate, caps, tied output) are fields of
`config.Model`. Parameters are float32, activations `arch.dtype`; norms,
rotations, softmax and logits are float32.

Axes: B rows, T positions, D width, H query heads, K key and value heads,
d width of a head, V vocabulary.
"""

from collections.abc import Callable
import functools
import math
from typing import Any

from flax import linen as nn
import jax
from jax import numpy as jnp
from jaxtyping import Float, Int

from zsgen.core import config
from zsgen.models import attention, layers, lifting, placement, rotary
from zsgen.models import execution as execution_lib
from zsgen.models.arrays import Array

# The rotation of each kind of block; empty for learned positions.
_Rotations = dict[str, rotary.Rotation]
# Which positions may be attended to: the segments [B, T] of a row, the spans of
# rows with shared prefixes or, for each kind of block, a mask over the slots of
# the cache, [B, S].
_Sight = Array | attention.Spans | dict[str, Array]
# The keys and values of a block, both [B, S, K, d].
_Past = tuple[Array, Array]


class Attention(nn.Module):
  """Grouped-query attention (2305.13245) within segments.

  Attributes:
    arch: the architecture.
    kind: "global", or "local" for a window.
    lora: which projections have adapters.
    execution: how the model is computed.
  """

  arch: config.Model
  kind: str
  lora: config.Lora = config.NO_LORA
  execution: execution_lib.Execution = execution_lib.PLAIN

  @nn.compact
  def __call__(
      self,
      x: Float[Array, "B T D"],
      sight: _Sight,
      rotations: _Rotations,
      past: _Past | None,
  ) -> tuple[Float[Array, "B T D"], _Past]:
    """Returns the output, and the keys and values of these positions."""
    arch, d = self.arch, self.arch.head_width
    in_shape, kv_shape = (arch.width, arch.heads, d), (
        arch.width,
        arch.kv_heads,
        d,
    )
    project = functools.partial(
        layers.Projection,
        std=arch.init_std,
        bias=arch.qkv_bias,
        lora=self.lora,
    )
    query = project("BTD,DHd->BTHd", in_shape, name="query")(x)
    key = project("BTD,DKd->BTKd", kv_shape, name="key")(x)
    value = project("BTD,DKd->BTKd", kv_shape, name="value")(x)
    if arch.qk_norm:
      query = layers.Norm(arch, "rms", name="query_norm")(query)
      key = layers.Norm(arch, "rms", name="key_norm")(key)
    if rotations:
      rotation = rotations[self.kind]
      query, key = rotary.rotate(query, rotation), rotary.rotate(key, rotation)
    scale, cap = (arch.query_width or d) ** -0.5, arch.score_cap
    if past is None:
      window = arch.window if self.kind == "local" else None
      assert not isinstance(sight, dict), "only caches are seen by kind"
      is_shared = isinstance(sight, attention.Spans)
      attend: Any = attention.attend_shared if is_shared else attention.attend
      x = attend(
          query,
          key,
          value,
          sight,
          scale=scale,
          cap=cap,
          window=window,
          execution=self.execution,
      )
    else:
      assert isinstance(sight, dict), "slots are seen by kind"
      visible = sight[self.kind]
      x = attention.attend_past(
          query, key, value, past, visible, scale=scale, cap=cap
      )
    out = layers.Projection(
        "BTHd,HdD->BTD",
        (arch.heads, d, arch.width),
        std=layers.residual_std(arch),
        bias=arch.out_bias,
        lora=self.lora,
        name="out",
    )
    return out(x), (key, value)


class Block(nn.Module):
  """A transformer block.

  Attributes:
    arch: the architecture.
    kind: "global" or "local".
    keep: whether to return the keys and values; otherwise None.
    lora: which projections have adapters.
    execution: how the model is computed.
  """

  arch: config.Model
  kind: str
  keep: bool
  lora: config.Lora = config.NO_LORA
  execution: execution_lib.Execution = execution_lib.PLAIN

  @nn.compact
  def __call__(
      self,
      x: Float[Array, "B T D"],
      sight: _Sight,
      rotations: _Rotations,
      past: _Past | None,
  ) -> tuple[Float[Array, "B T D"], _Past | None]:
    """Returns hidden states, and the keys and values if they are kept."""
    normed = layers.Norm(self.arch, name="attention_norm")(x)
    attend = Attention(
        self.arch, self.kind, self.lora, self.execution, name="attention"
    )
    mixed, key_values = attend(normed, sight, rotations, past)
    x += self._normed(mixed, "attention")
    normed = layers.Norm(self.arch, name="mlp_norm")(x)
    mlp = layers.Mlp(self.arch, lora=self.lora, name="mlp")
    x += self._normed(mlp(normed), "mlp")
    return (
        placement.by_rows(x, self.execution.mesh),
        key_values if self.keep else None,
    )

  def _normed(self, x: Array, part: str) -> Array:
    if not self.arch.post_norms:
      return x
    return layers.Norm(self.arch, name=f"{part}_post_norm")(x)


class Pattern(nn.Module):
  """The repeating blocks, with the signature of a scan body."""

  arch: config.Model
  keep: bool
  lora: config.Lora = config.NO_LORA
  execution: execution_lib.Execution = execution_lib.PLAIN

  @nn.compact
  def __call__(
      self,
      x: Float[Array, "B T D"],
      sight: _Sight,
      rotations: _Rotations,
      past: dict[str, _Past] | None,
  ) -> tuple[Float[Array, "B T D"], dict[str, _Past | None]]:
    """Returns hidden states, and what each block keeps, by its number."""
    # CSE cannot undo the remat of a scan's body.
    apply = _remat(self.execution.remat, prevent_cse=False)
    key_values = {}
    for i, kind in enumerate(self.arch.pattern):
      name = str(i)
      block_past = None if past is None else past[name]
      block = Block(
          self.arch, kind, self.keep, self.lora, self.execution, name=name
      )
      x, key_values[name] = apply(block, x, sight, rotations, block_past)
    return x, key_values


class Decoder(nn.Module):
  """Maps tokens to final hidden states.

  Attributes:
    arch: the architecture.
    keep: whether to return what generation needs: the hidden state of the last
      position, [B, 1, D] (of all positions if segments share prefixes), and the
      keys and values of all positions.
    lora: which projections have adapters.
    execution: how the model is computed.
    is_normed: whether the final norm is applied.
  """

  arch: config.Model
  keep: bool = False
  lora: config.Lora = config.NO_LORA
  execution: execution_lib.Execution = execution_lib.PLAIN
  is_normed: bool = True

  @nn.compact
  def __call__(
      self,
      tokens: Int[Array, "B T"],
      positions: Int[Array, "B T"],
      sight: _Sight,
      past: dict[str, Any] | None = None,
  ) -> Float[Array, "B T D"] | tuple[Float[Array, "B t D"], dict[str, Any]]:
    """Returns the residual stream at each position, normalized if `is_normed`,
    of type `arch.dtype`.

    An unknown token or learned position gives NaN, never the embedding of
    another one.

    Args:
      tokens: ids below `arch.vocab_size`.
      positions: from 0 within each segment.
      sight: the segment number of each position; segments are contiguous and 0
        is padding. If segments share prefixes: spans. With a past: for each
        kind of block, a mask of its slots.
      past: keys and values of earlier positions, for decoding with T = 1.
    """
    arch, dtype = self.arch, jnp.dtype(self.arch.dtype)
    mesh = self.execution.mesh
    table = layers.table(self, arch, "embedding")
    tokens = placement.to_table(tokens, arch.width, mesh)
    x = _look_up(table, tokens, arch.vocab_size)
    rotations = {}
    if arch.positions == "learned":
      rows = layers.table(self, arch, "positions")
      spread = placement.to_table(positions, arch.width, mesh)
      x += _look_up(rows, spread, arch.max_positions)
    else:
      kinds = sorted(set(arch.pattern))
      rotations = {
          kind: rotary.rotation(positions, arch, kind) for kind in kinds
      }
    x = x.astype(dtype)
    if arch.embedding_scaled:
      x *= jnp.asarray(math.sqrt(arch.width), dtype)
    x = placement.from_table(x, mesh)
    x, key_values = self._blocks(x, sight, rotations, past or {})
    if self.keep and not isinstance(sight, attention.Spans):
      x = x[:, -1:]
    if self.is_normed:
      x = layers.Norm(arch, name="final_norm")(x)
    return (x, key_values) if self.keep else x

  def _blocks(
      self,
      x: Array,
      sight: _Sight,
      rotations: _Rotations,
      past: dict[str, Any],
  ) -> tuple[Array, dict[str, Any]]:
    """Applies the scanned pattern, then the remaining blocks."""
    arch, key_values = self.arch, {}
    repeats, remainder = divmod(arch.layers, len(arch.pattern))
    if repeats:
      axes: Any = (nn.broadcast, nn.broadcast, 0)  # Declared as int.
      scan = nn.scan(
          lifting.call,
          variable_axes={"params": 0},
          split_rngs={"params": True},
          in_axes=axes,
          length=repeats,
      )
      pattern = Pattern(
          arch, self.keep, self.lora, self.execution, name="blocks"
      )
      x, key_values["blocks"] = scan(
          pattern, x, sight, rotations, past.get("blocks")
      )
    apply = _remat(self.execution.remat, prevent_cse=True)
    for i, kind in enumerate(arch.pattern[:remainder]):
      name = f"rest_{i}"
      block = Block(arch, kind, self.keep, self.lora, self.execution, name=name)
      x, key_values[name] = apply(block, x, sight, rotations, past.get(name))
    return x, key_values


def _remat(name: str, prevent_cse: bool) -> Callable[..., tuple[Array, _Past]]:
  """Returns a function that calls a block and saves part of its activations.

  Args:
    name: "none" saves everything. "cheap" saves matrix products and the output
      of attention kernels; recomputing scores, norms and activations is faster
      than loading them. For adapted projections it saves the sum but not the
      two products. "full" saves only the input of the block.
    prevent_cse: whether to keep the compiler from undoing it.
  """
  if name == "none":
    return lifting.call
  policies = jax.checkpoint_policies
  policy = policies.save_from_both_policies(
      policies.dots_with_no_batch_dims_saveable,
      policies.save_only_these_names(layers.ADAPTED, attention.ATTENDED),
  )
  return nn.remat(
      lifting.call,
      prevent_cse=prevent_cse,
      policy=policy if name == "cheap" else policies.nothing_saveable,
  )


def _look_up(
    table: Float[Array, "V D"], indices: Int[Array, "B T"], size: int
) -> Float[Array, "B T D"]:
  """Looks up rows of a table; indices from `size` on give NaN."""
  if size < table.shape[0]:
    indices = jnp.where(indices < size, indices, table.shape[0])
  x = jnp.take(table, indices, axis=0, mode="fill", fill_value=jnp.nan)
  return x.astype(jnp.float32)  # A frozen table may have another dtype.
