"""The decoder: one module for every family of the field.

Pre-norm blocks of causal attention and an MLP, scanned over their repeating
pattern; blocks that are left over stand after it, one by one. What differs
between families (norms, positions, windows, gate, caps, tied output) are
fields of `config.Model`. Parameters are float32, activations `arch.dtype`;
norms, rotations, softmax and logits are float32.

Letters: B rows, T positions, D width, H query heads, K key and value heads,
d width of a head, V vocabulary.
"""

import functools
import math
from typing import Any

from flax import linen as nn
import jax
from jax import numpy as jnp
from jaxtyping import Array, Float, Int

from zsgen.core import config
from zsgen.models import attention, layers, placement, rotary
from zsgen.models import execution as execution_lib

# The rotation of each kind of block; empty for learned positions.
_Rotations = dict[str, rotary.Rotation]
# What a position may see: the segments [B, T] of its row; or, of each kind of
# block, which slots of the past, [B, S].
_Sight = Array | dict[str, Array]
# Keys and values of a block, each [B, S, K, d].
_Past = tuple[Array, Array]


class Attention(nn.Module):
  """Grouped-query attention (2305.13245) within segments.

  Attributes:
    arch: the architecture.
    kind: "global", or "local" for a window.
    lora: adapters of projections.
    execution: how it is computed.
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
    """Returns the result, and the keys and values of these positions."""
    arch, d = self.arch, self.arch.head_width
    into, kv_into = (arch.width, arch.heads, d), (arch.width, arch.kv_heads, d)
    project = functools.partial(
        layers.Projection,
        std=arch.init_std,
        bias=arch.qkv_bias,
        lora=self.lora,
    )
    query = project("BTD,DHd->BTHd", into, name="query")(x)
    key = project("BTD,DKd->BTKd", kv_into, name="key")(x)
    value = project("BTD,DKd->BTKd", kv_into, name="value")(x)
    if arch.qk_norm:
      query = layers.Norm(arch, "rms", name="query_norm")(query)
      key = layers.Norm(arch, "rms", name="key_norm")(key)
    if rotations:
      turn = rotations[self.kind]
      query, key = rotary.rotate(query, turn), rotary.rotate(key, turn)
    scale, cap = (arch.query_width or d) ** -0.5, arch.score_cap
    if past is None:
      window = arch.window if self.kind == "local" else None
      x = attention.attend(
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
  """One block.

  Attributes:
    arch: the architecture.
    kind: "global" or "local".
    keep: whether keys and values are returned; None stands for them else.
    lora: adapters of projections.
    execution: how it is computed.
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
    normed = layers.Norm(self.arch, name="attention_norm")(x)
    attend = Attention(
        self.arch, self.kind, self.lora, self.execution, name="attention"
    )
    mixed, kept = attend(normed, sight, rotations, past)
    x += self._normed(mixed, "attention")
    normed = layers.Norm(self.arch, name="mlp_norm")(x)
    mlp = layers.Mlp(self.arch, lora=self.lora, name="mlp")
    x += self._normed(mlp(normed), "mlp")
    return (
        placement.by_rows(x, self.execution.mesh),
        kept if self.keep else None,
    )

  def _normed(self, x: Array, part: str) -> Array:
    if not self.arch.post_norms:
      return x
    return layers.Norm(self.arch, name=f"{part}_post_norm")(x)


class Pattern(nn.Module):
  """The blocks that repeat; its signature is that of a scan's body."""

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
    # A scan's body is never merged with another: CSE cannot undo the remat.
    block = _remat(self.execution.remat, prevent_cse=False)
    kept = {}
    for i, kind in enumerate(self.arch.pattern):
      name = str(i)
      before = past and past[name]
      each = block(
          self.arch, kind, self.keep, self.lora, self.execution, name=name
      )
      x, kept[name] = each(x, sight, rotations, before)
    return x, kept


class Decoder(nn.Module):
  """Tokens to what the head makes logits of the next token of.

  Attributes:
    arch: the architecture.
    keep: if so, the result is that of generation: the last position alone,
      [B, 1, D], and keys and values of all positions.
    lora: adapters of projections.
    execution: how it is computed.
  """

  arch: config.Model
  keep: bool = False
  lora: config.Lora = config.NO_LORA
  execution: execution_lib.Execution = execution_lib.PLAIN

  @nn.compact
  def __call__(
      self,
      tokens: Int[Array, "B T"],
      positions: Int[Array, "B T"],
      sight: _Sight,
      past: dict[str, Any] | None = None,
  ) -> Float[Array, "B T D"] | tuple[Float[Array, "B 1 D"], dict[str, Any]]:
    """The normed residual of each position, of type `arch.dtype`.

    A token or a learned position that the model does not have gives NaN, never
    the embedding of another.

    Args:
      tokens: ids below `arch.vocab_size`.
      positions: from 0 within each segment.
      sight: number of each position's segment, contiguous; 0 is padding. With
        a past: of each kind of block, which of its slots are seen.
      past: keys and values of earlier positions; these are one a row then,
        T = 1.
    """
    arch, dtype = self.arch, jnp.dtype(self.arch.dtype)
    table = layers.table(self, arch, "embedding")
    x = _look_up(table, tokens, arch.vocab_size)
    rotations = {}
    if arch.positions == "learned":
      rows = layers.table(self, arch, "positions")
      x += _look_up(rows, positions, arch.max_positions)
    else:
      kinds = sorted(set(arch.pattern))
      rotations = {
          kind: rotary.rotation(positions, arch, kind) for kind in kinds
      }
    x = x.astype(dtype)
    if arch.embedding_scaled:
      x *= jnp.asarray(math.sqrt(arch.width), dtype)
    x = placement.from_table(x, self.execution.mesh)
    x, kept = self._blocks(x, sight, rotations, past or {})
    x = x[:, -1:] if self.keep else x
    x = layers.Norm(arch, name="final_norm")(x)
    return (x, kept) if self.keep else x

  def _blocks(
      self,
      x: Array,
      sight: _Sight,
      rotations: _Rotations,
      past: dict[str, Any],
  ) -> tuple[Array, dict[str, Any]]:
    """The pattern, scanned, and the blocks that are left over."""
    arch, kept = self.arch, {}
    repeats, left = divmod(arch.layers, len(arch.pattern))
    if repeats:
      scanned = nn.scan(
          Pattern,
          variable_axes={"params": 0},
          split_rngs={"params": True},
          in_axes=(nn.broadcast, nn.broadcast, 0),
          length=repeats,
      )
      blocks = scanned(
          arch, self.keep, self.lora, self.execution, name="blocks"
      )
      x, kept["blocks"] = blocks(x, sight, rotations, past.get("blocks"))
    block = _remat(self.execution.remat, prevent_cse=True)
    for i, kind in enumerate(arch.pattern[:left]):
      name = f"rest_{i}"
      each = block(arch, kind, self.keep, self.lora, self.execution, name=name)
      x, kept[name] = each(x, sight, rotations, past.get(name))
    return x, kept


def _remat(name: str, prevent_cse: bool) -> type[Block]:
  """A block that computes parts of itself again in the backward pass.

  Args:
    name: "none" keeps all. "cheap" keeps matrix products, and what a kernel of
      attention gives; scores, norms and activations are quicker to compute
      again than to keep; of an adapted projection the sum is kept, and not the
      two products. "full" keeps what enters the block.
    prevent_cse: whether the compiler could undo it.
  """
  if name == "none":
    return Block
  policies = jax.checkpoint_policies
  policy = policies.save_from_both_policies(
      policies.dots_with_no_batch_dims_saveable,
      policies.save_only_these_names(layers.ADAPTED, attention.ATTENDED),
  )
  return nn.remat(
      Block,
      prevent_cse=prevent_cse,
      policy=policy if name == "cheap" else policies.nothing_saveable,
  )


def _look_up(
    table: Float[Array, "V D"], rows: Int[Array, "B T"], known: int
) -> Float[Array, "B T D"]:
  """Rows of a table; NaN where there is none among the first `known`."""
  if known < table.shape[0]:
    rows = jnp.where(rows < known, rows, table.shape[0])
  x = jnp.take(table, rows, axis=0, mode="fill", fill_value=jnp.nan)
  return x.astype(jnp.float32)  # A frozen table may be of another type.
