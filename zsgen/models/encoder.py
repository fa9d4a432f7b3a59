"""The encoder: BERT (1810.04805), as sentence encoders use it.

Post-norm blocks of bidirectional attention and an MLP, scanned over the layers,
then pooling to one vector per text. Parameters are float32, activations have a
configurable dtype; norms, softmax and pooling are float32.

Axes: B rows, T positions, D width, H heads, d width of a head, F hidden
width of the MLP.
"""

from collections.abc import Mapping
import dataclasses
import functools
from typing import Any

from flax import linen as nn
import jax
from jax import numpy as jnp
from jaxtyping import Bool, Float, Int

from zsgen.models import lifting
from zsgen.models.arrays import Array

# Keyed by the values of hidden_act in config.json.
ACTIVATIONS = {
    "gelu": functools.partial(jax.nn.gelu, approximate=False),
    "gelu_new": functools.partial(jax.nn.gelu, approximate=True),
    "gelu_pytorch_tanh": functools.partial(jax.nn.gelu, approximate=True),
    "relu": jax.nn.relu,
    "silu": jax.nn.silu,
}
POOLINGS = ("mean", "cls", "max")

_INIT = nn.initializers.normal(0.02)
# Finite, so that a row of nothing but padding does not become NaN.
_HIDDEN = -1e30


@dataclasses.dataclass(frozen=True)
class Arch:
  """The sizes of a BERT model and the functions of its layers.

  Attributes:
    vocab_size: rows of the token embedding.
    width: of the residual stream; `heads` divides it.
    layers: number of blocks.
    heads: of the attention.
    mlp_width: hidden width of the MLP.
    max_positions: positions that have an embedding.
    types: number of token types; a single text has type 0.
    activation: a name in `ACTIVATIONS`.
    norm_eps: added to the variance.
  """

  vocab_size: int
  width: int
  layers: int
  heads: int
  mlp_width: int
  max_positions: int
  types: int
  activation: str
  norm_eps: float


class Affine(nn.Module):
  """A linear map over the last axes, with a bias.

  Attributes:
    letters: the einsum, such as "BTD,DF->BTF".
    shape: shape of the kernel.
    out: trailing axes of the result, and the shape of the bias.
  """

  letters: str
  shape: tuple[int, ...]
  out: tuple[int, ...]

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Returns the products plus the bias, in the type of `x`."""
    kernel = self.param("kernel", _INIT, self.shape).astype(x.dtype)
    bias = self.param("bias", nn.initializers.zeros, self.out).astype(x.dtype)
    return jnp.einsum(self.letters, x, kernel) + bias


class Norm(nn.Module):
  """LayerNorm (1607.06450), in float32."""

  eps: float

  @nn.compact
  def __call__(self, x: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
    """Returns normalized vectors, in the type of `x`."""
    shape, dtype = x.shape[-1:], x.dtype
    x = x.astype(jnp.float32)
    x -= x.mean(-1, keepdims=True)
    x *= jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + self.eps)
    x *= self.param("scale", nn.initializers.ones, shape)
    x += self.param("bias", nn.initializers.zeros, shape)
    return x.astype(dtype)


class Attention(nn.Module):
  """Attention of every position to every token."""

  arch: Arch

  @nn.compact
  def __call__(
      self, x: Float[Array, "B T D"], mask: Bool[Array, "B T"]
  ) -> Float[Array, "B T D"]:
    """Returns what each position attends to; `mask` is true at tokens."""
    width, heads = self.arch.width, self.arch.heads
    head_shape = (heads, width // heads)
    project = functools.partial(Affine, "BTD,DHd->BHTd", (width, *head_shape))
    # A bias [H, 1, d] is added before the transposition is undone.
    bias = (heads, 1, width // heads)
    query, key, value = (
        project(bias, name=name)(x) for name in ("query", "key", "value")
    )
    scores = jnp.einsum(
        "BHTd,BHSd->BHTS", query, key, preferred_element_type=jnp.float32
    )
    scores *= head_shape[1] ** -0.5
    scores = jnp.where(mask[:, None, None], scores, _HIDDEN)
    weights = jax.nn.softmax(scores).astype(value.dtype)
    x = jnp.einsum("BHTS,BHSd->BHTd", weights, value)
    return Affine("BHTd,HdD->BTD", (*head_shape, width), (width,), name="out")(
        x
    )


class Block(nn.Module):
  """A transformer block, with the signature of a scan body."""

  arch: Arch

  @nn.compact
  def __call__(
      self, x: Float[Array, "B T D"], mask: Bool[Array, "B T"]
  ) -> tuple[Float[Array, "B T D"], None]:
    """Returns hidden states; None is what a scan would stack."""
    arch = self.arch
    x += Attention(arch, name="attention")(x, mask)
    x = Norm(arch.norm_eps, name="attention_norm")(x)
    up_shape, down_shape = (arch.width, arch.mlp_width), (
        arch.mlp_width,
        arch.width,
    )
    hidden = Affine("BTD,DF->BTF", up_shape, up_shape[1:], name="up")(x)
    hidden = ACTIVATIONS[arch.activation](hidden)
    x += Affine("BTF,FD->BTD", down_shape, down_shape[1:], name="down")(hidden)
    return Norm(arch.norm_eps, name="mlp_norm")(x), None


class Bert(nn.Module):
  """Maps tokens to the hidden states of the last block."""

  arch: Arch
  dtype: str

  @nn.compact
  def __call__(
      self, tokens: Int[Array, "B T"], lengths: Int[Array, "B"]
  ) -> Float[Array, "B T D"]:
    """Returns hidden states of type `dtype`; those of padding are undefined.

    Args:
      tokens: ids below `arch.vocab_size`, at most `arch.max_positions`.
      lengths: number of tokens in each row; the rest is padding.
    """
    arch, length = self.arch, tokens.shape[1]
    x = self._table("tokens", arch.vocab_size)[tokens]
    x += self._table("positions", arch.max_positions)[:length]
    x += self._table("types", arch.types)[0]
    x = Norm(arch.norm_eps, name="embedding_norm")(x)
    axes: Any = nn.broadcast  # Declared as int.
    scan = nn.scan(
        lifting.call,
        variable_axes={"params": 0},
        split_rngs={"params": True},
        in_axes=axes,
        length=arch.layers,
    )
    x = x.astype(jnp.dtype(self.dtype))
    x, _ = scan(Block(arch, name="blocks"), x, _mask(lengths, length))
    return x

  def _table(self, name: str, rows: int) -> Array:
    return self.param(name, _INIT, (rows, self.arch.width))


def shapes(arch: Arch) -> dict[str, Any]:
  """Returns the shapes of the parameters, as nested dictionaries."""
  row = jnp.zeros((1, 1), jnp.int32), jnp.ones(1, jnp.int32)
  init = Bert(arch, "float32").init
  return jax.eval_shape(init, jax.random.key(0), *row)["params"]


def pool(
    states: Float[Array, "B T D"], lengths: Int[Array, "B"], pooling: str
) -> Float[Array, "B D"]:
  """Returns one float32 vector per row.

  Args:
    states: the hidden state of every token.
    lengths: number of tokens in each row.
    pooling: "mean" or "max" of the tokens' states, or "cls": the first one.
  """
  states = states.astype(jnp.float32)
  mask = _mask(lengths, states.shape[1])[..., None]
  if pooling == "cls":
    return states[:, 0]
  if pooling == "max":
    return jnp.where(mask, states, _HIDDEN).max(1)
  return jnp.where(mask, states, 0).sum(1) / jnp.maximum(lengths, 1)[:, None]


def encode(
    params: Mapping[str, Any],
    tokens: Int[Array, "B T"],
    lengths: Int[Array, "B"],
    *,
    arch: Arch,
    dtype: str,
    pooling: str,
    normalize: bool,
) -> Float[Array, "B D"]:
  """Returns the float32 vectors of texts (1908.10084, section 3).

  Args:
    params: float32 parameters with the structure of `shapes`.
    tokens: token ids; those beyond a row's length are padding.
    lengths: number of tokens in each row; 0 for unused rows.
    arch: the architecture.
    dtype: dtype of activations: "float32" (matrix products are then float32
      too, even on chips that round their inputs by default) or "bfloat16".
    pooling: a name in `POOLINGS`.
    normalize: whether to scale vectors to length 1.
  """
  precision = "float32" if dtype == "float32" else None
  with jax.default_matmul_precision(precision):
    states: Any = Bert(arch, dtype).apply({"params": params}, tokens, lengths)
  vectors = pool(states, lengths, pooling)
  if not normalize:
    return vectors
  norms = jnp.linalg.norm(vectors, axis=-1, keepdims=True)
  return vectors / jnp.maximum(norms, 1e-12)


def _mask(lengths: Int[Array, "B"], length: int) -> Bool[Array, "B T"]:
  return jnp.arange(length) < lengths[:, None]
