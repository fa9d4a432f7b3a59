"""The decoder: one module for every family of the field.

Pre-norm blocks of causal attention and an MLP, scanned over their number.
What differs between families (norm, positions, gate, tied output) are fields
of `config.Model`. Parameters are float32, activations `arch.dtype`; norms,
rotations, softmax and logits are float32.

Letters: B rows, T positions, D width, H query heads, K key and value heads,
d width of a head, F hidden width of the MLP, V vocabulary, P positions known.
"""

import functools
import math

from flax import linen as nn
import jax
from jax import numpy as jnp
from jaxtyping import Array, Float, Int

from zsgen import config
from zsgen.models import attention

# Standard deviation of new matrices (GPT-2); what writes to the residual is
# divided by sqrt(number of writers) so that its size does not grow in depth.
_INIT_STD = 0.02
_ACTIVATIONS = {
    "silu": jax.nn.silu,
    "gelu": functools.partial(jax.nn.gelu, approximate=False),
    "gelu_tanh": functools.partial(jax.nn.gelu, approximate=True),
    "relu": jax.nn.relu,
}
# Sine and cosine of each position's angles, each [B, T, 1, d/2].
_Rotation = tuple[Array, Array]


class Projection(nn.Module):
  """A linear map of the last axes, without bias: an einsum with a kernel.

  Attributes:
    letters: the einsum, such as "BTD,DF->BTF".
    shape: of the kernel.
    std: of the kernel when it is new.
    out: element type of the result; that of the input by default.
  """

  letters: str
  shape: tuple[int, ...]
  std: float = _INIT_STD
  out: jnp.dtype | None = None

  @nn.compact
  def __call__(self, x: Array) -> Array:
    init = nn.initializers.normal(self.std)
    kernel = self.param("kernel", init, self.shape).astype(x.dtype)
    out = self.out or x.dtype
    return jnp.einsum(self.letters, x, kernel, preferred_element_type=out)


class Norm(nn.Module):
  """RMSNorm (1910.07467) or LayerNorm (1607.06450), in float32."""

  arch: config.Model

  @nn.compact
  def __call__(self, x: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
    shape, dtype = x.shape[-1:], x.dtype
    x = x.astype(jnp.float32)
    if self.arch.norm == "layer":
      x -= x.mean(-1, keepdims=True)
    x *= jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + self.arch.norm_eps)
    x *= self.param("scale", nn.initializers.ones, shape)
    if self.arch.norm == "layer":
      x += self.param("bias", nn.initializers.zeros, shape)
    return x.astype(dtype)


class Attention(nn.Module):
  """Grouped-query attention (2305.13245) within segments."""

  arch: config.Model

  @nn.compact
  def __call__(
      self,
      x: Float[Array, "B T D"],
      segments: Int[Array, "B T"],
      rotation: _Rotation | None,
  ) -> Float[Array, "B T D"]:
    arch, d = self.arch, self.arch.head_width
    into, kv_into = (arch.width, arch.heads, d), (arch.width, arch.kv_heads, d)
    query = Projection("BTD,DHd->BTHd", into, name="query")(x)
    key = Projection("BTD,DKd->BTKd", kv_into, name="key")(x)
    value = Projection("BTD,DKd->BTKd", kv_into, name="value")(x)
    if rotation is not None:
      query, key = rotate(query, rotation), rotate(key, rotation)
    x = attention.attend(query, key, value, segments)
    back = (arch.heads, d, arch.width)
    return Projection("BTHd,HdD->BTD", back, _residual_std(arch), name="out")(x)


class Mlp(nn.Module):
  """The MLP; gated as in 2002.05202, or plain."""

  arch: config.Model

  @nn.compact
  def __call__(self, x: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
    arch, activation = self.arch, _ACTIVATIONS[self.arch.activation]
    into, back = (arch.width, arch.mlp_width), (arch.mlp_width, arch.width)
    hidden = Projection("BTD,DF->BTF", into, name="up")(x)
    if arch.gated:
      gate = Projection("BTD,DF->BTF", into, name="gate")(x)
      hidden = activation(gate) * hidden
    else:
      hidden = activation(hidden)
    std = _residual_std(arch)
    return Projection("BTF,FD->BTD", back, std, name="down")(hidden)


class Block(nn.Module):
  """One block; its signature is that of a scan's body."""

  arch: config.Model

  @nn.compact
  def __call__(
      self,
      x: Float[Array, "B T D"],
      segments: Int[Array, "B T"],
      rotation: _Rotation | None,
  ) -> tuple[Float[Array, "B T D"], None]:
    normed = Norm(self.arch, name="attention_norm")(x)
    x += Attention(self.arch, name="attention")(normed, segments, rotation)
    normed = Norm(self.arch, name="mlp_norm")(x)
    return x + Mlp(self.arch, name="mlp")(normed), None


class Decoder(nn.Module):
  """Tokens to logits of the next token."""

  arch: config.Model

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
    """
    arch, dtype = self.arch, jnp.dtype(self.arch.dtype)
    table = self._table("embedding", arch.vocab_size)
    x = _look_up(table, tokens)
    rotation = None
    if arch.positions == "learned":
      x += _look_up(self._table("positions", arch.max_positions), positions)
    else:
      rotation = angles(positions, arch.head_width, arch.rope_theta)
    # Matrix products are kept for the backward pass; scores, norms and
    # activations are quicker to compute again than to keep.
    block = nn.remat(
        Block,
        prevent_cse=False,
        policy=jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
    )
    blocks = nn.scan(
        block,
        variable_axes={"params": 0},
        split_rngs={"params": True},
        in_axes=(nn.broadcast, nn.broadcast),
        length=arch.layers,
    )
    x, _ = blocks(arch, name="blocks")(x.astype(dtype), segments, rotation)
    x = Norm(arch, name="final_norm")(x)
    if arch.tied:
      table = table.astype(dtype)
      return jnp.einsum(
          "BTD,VD->BTV", x, table, preferred_element_type=jnp.float32
      )
    shape = (arch.width, arch.vocab_size)
    return Projection("BTD,DV->BTV", shape, out=jnp.float32, name="head")(x)

  def _table(self, name: str, rows: int) -> Array:
    init = nn.initializers.normal(_INIT_STD)
    return self.param(name, init, (rows, self.arch.width))


def angles(positions: Int[Array, "B T"], width: int, theta: float) -> _Rotation:
  """Sine and cosine of rotary positions (2104.09864), float32 [B, T, 1, d/2].

  Args:
    positions: from 0 within each segment.
    width: of a head, d; even.
    theta: base wave length.
  """
  frequencies = theta ** (-jnp.arange(0, width, 2, dtype=jnp.float32) / width)
  turned = positions[..., None, None].astype(jnp.float32) * frequencies
  return jnp.sin(turned), jnp.cos(turned)


def rotate(
    x: Float[Array, "B T H d"], rotation: _Rotation
) -> Float[Array, "B T H d"]:
  """Turns the pairs (i, i + d/2) of each head, the layout of Llama."""
  sine, cosine = rotation
  a, b = jnp.split(x.astype(jnp.float32), 2, axis=-1)
  turned = [a * cosine - b * sine, b * cosine + a * sine]
  return jnp.concatenate(turned, axis=-1).astype(x.dtype)


def _look_up(
    table: Float[Array, "V D"], rows: Int[Array, "B T"]
) -> Float[Array, "B T D"]:
  return jnp.take(table, rows, axis=0, mode="fill", fill_value=jnp.nan)


def _residual_std(arch: config.Model) -> float:
  return _INIT_STD / math.sqrt(2 * arch.layers)
