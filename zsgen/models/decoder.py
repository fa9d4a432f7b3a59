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

from flax import linen as nn
import jax
from jax import numpy as jnp
from jaxtyping import Array, Float, Int

from zsgen import config
from zsgen.models import attention, layers, rotary

# The rotation of each kind of block; empty for learned positions.
_Rotations = dict[str, rotary.Rotation]
_NO_LOGIT = -1e30


class Attention(nn.Module):
  """Grouped-query attention (2305.13245) within segments.

  Attributes:
    arch: the architecture.
    kind: "global", or "local" for a window.
    lora: adapters of projections.
  """

  arch: config.Model
  kind: str
  lora: config.Lora = config.NO_LORA

  @nn.compact
  def __call__(
      self,
      x: Float[Array, "B T D"],
      segments: Int[Array, "B T"],
      rotations: _Rotations,
  ) -> Float[Array, "B T D"]:
    arch, d = self.arch, self.arch.head_width
    into, kv_into = (arch.width, arch.heads, d), (arch.width, arch.kv_heads, d)
    project = functools.partial(
        layers.Projection, bias=arch.qkv_bias, lora=self.lora
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
    x = attention.attend(
        query,
        key,
        value,
        segments,
        scale=(arch.query_width or d) ** -0.5,
        cap=arch.score_cap,
        window=arch.window if self.kind == "local" else None,
    )
    return layers.Projection(
        "BTHd,HdD->BTD",
        (arch.heads, d, arch.width),
        bias=arch.out_bias,
        std=layers.residual_std(arch),
        lora=self.lora,
        name="out",
    )(x)


class Block(nn.Module):
  """One block."""

  arch: config.Model
  kind: str
  lora: config.Lora = config.NO_LORA

  @nn.compact
  def __call__(
      self,
      x: Float[Array, "B T D"],
      segments: Int[Array, "B T"],
      rotations: _Rotations,
  ) -> Float[Array, "B T D"]:
    normed = layers.Norm(self.arch, name="attention_norm")(x)
    attend = Attention(self.arch, self.kind, lora=self.lora, name="attention")
    x += self._normed(attend(normed, segments, rotations), "attention")
    normed = layers.Norm(self.arch, name="mlp_norm")(x)
    mlp = layers.Mlp(self.arch, lora=self.lora, name="mlp")
    return x + self._normed(mlp(normed), "mlp")

  def _normed(self, x: Array, part: str) -> Array:
    if not self.arch.post_norms:
      return x
    return layers.Norm(self.arch, name=f"{part}_post_norm")(x)


class Pattern(nn.Module):
  """The blocks that repeat; its signature is that of a scan's body."""

  arch: config.Model
  lora: config.Lora = config.NO_LORA

  @nn.compact
  def __call__(
      self,
      x: Float[Array, "B T D"],
      segments: Int[Array, "B T"],
      rotations: _Rotations,
  ) -> tuple[Float[Array, "B T D"], None]:
    # A scan's body is never merged with another: CSE cannot undo the remat.
    block = _remat(prevent_cse=False)
    for i, kind in enumerate(self.arch.pattern):
      each = block(self.arch, kind, lora=self.lora, name=str(i))
      x = each(x, segments, rotations)
    return x, None


class Decoder(nn.Module):
  """Tokens to logits of the next token."""

  arch: config.Model
  lora: config.Lora = config.NO_LORA

  @nn.compact
  def __call__(
      self,
      tokens: Int[Array, "B T"],
      positions: Int[Array, "B T"],
      segments: Int[Array, "B T"],
  ) -> Float[Array, "B T V"]:
    """Logits, float32.

    A token or a learned position that the model does not have gives NaN, never
    the embedding of another.

    Args:
      tokens: ids below `arch.vocab_size`.
      positions: from 0 within each segment.
      segments: number of the segment, contiguous; 0 is padding.

    Returns:
      V is `vocab_size`, padded as `vocab_multiple` says; what is beyond the
      vocabulary has probability 0.
    """
    arch, dtype = self.arch, jnp.dtype(self.arch.dtype)
    table = self._table("embedding", arch.vocab_size, arch.vocab_multiple)
    x = _look_up(table, tokens, arch.vocab_size)
    rotations = {}
    if arch.positions == "learned":
      rows = self._table("positions", arch.max_positions)
      x += _look_up(rows, positions, arch.max_positions)
    else:
      kinds = sorted(set(arch.pattern))
      rotations = {
          kind: rotary.rotation(positions, arch, kind) for kind in kinds
      }
    x = x.astype(dtype)
    if arch.embedding_scaled:
      x *= jnp.asarray(math.sqrt(arch.width), dtype)
    x = self._blocks(x, segments, rotations)
    x = layers.Norm(arch, name="final_norm")(x)
    return self._logits(x, table)

  def _blocks(self, x: Array, segments: Array, rotations: _Rotations) -> Array:
    """The pattern, scanned, and the blocks that are left over."""
    arch = self.arch
    repeats, left = divmod(arch.layers, len(arch.pattern))
    if repeats:
      scanned = nn.scan(
          Pattern,
          variable_axes={"params": 0},
          split_rngs={"params": True},
          in_axes=(nn.broadcast, nn.broadcast),
          length=repeats,
      )
      blocks = scanned(arch, lora=self.lora, name="blocks")
      x, _ = blocks(x, segments, rotations)
    block = _remat(prevent_cse=True)
    for i, kind in enumerate(arch.pattern[:left]):
      each = block(arch, kind, lora=self.lora, name=f"rest_{i}")
      x = each(x, segments, rotations)
    return x

  def _logits(self, x: Array, table: Array) -> Array:
    arch = self.arch
    if arch.tied:
      logits = jnp.einsum(
          "BTD,VD->BTV",
          x,
          table.astype(x.dtype),
          preferred_element_type=jnp.float32,
      )
    else:
      shape = (arch.width, table.shape[0])
      head = layers.Projection(
          "BTD,DV->BTV", shape, out=jnp.float32, lora=self.lora, name="head"
      )
      logits = head(x)
    logits = layers.soft_cap(logits, arch.logit_cap)
    if table.shape[0] == arch.vocab_size:
      return logits
    known = jnp.arange(table.shape[0]) < arch.vocab_size
    return jnp.where(known, logits, _NO_LOGIT)

  def _table(self, name: str, rows: int, multiple: int = 1) -> Array:
    """Rows of new parameters; those of the padding are 0."""

    def init(key: Array, shape: tuple[int, ...]) -> Array:
      known = layers.INIT_STD * jax.random.normal(key, (rows, shape[1]))
      return jnp.pad(known, ((0, shape[0] - rows), (0, 0)))

    padded = -(-rows // multiple) * multiple
    return self.param(name, init, (padded, self.arch.width))


def _remat(prevent_cse: bool) -> type[Block]:
  """A block that computes its cheap parts again in the backward pass.

  Matrix products are kept; scores, norms and activations are quicker to
  compute again than to keep.
  """
  return nn.remat(
      Block,
      prevent_cse=prevent_cse,
      policy=jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
  )


def _look_up(
    table: Float[Array, "V D"], rows: Int[Array, "B T"], known: int
) -> Float[Array, "B T D"]:
  """Rows of a table; NaN where there is none among the first `known`."""
  if known < table.shape[0]:
    rows = jnp.where(rows < known, rows, table.shape[0])
  x = jnp.take(table, rows, axis=0, mode="fill", fill_value=jnp.nan)
  return x.astype(jnp.float32)  # A frozen table may be of another type.
