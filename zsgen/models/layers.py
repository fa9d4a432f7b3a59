"""Layers of the blocks: projections, norms, the MLP.

Axes: B rows, T positions, D width, F hidden width of the MLP, r rank of an
adapter.
"""

import functools
import math
import re

from flax import linen as nn
import jax
from jax import numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike
from jaxtyping import Float

from zsgen.core import config
from zsgen.models.arrays import Array

# Checkpoint name of the output of an adapted projection.
ADAPTED = "adapted"
# The layer that precedes the rest of a projection's path.
_LAYER = re.compile(r"(blocks/\d+|rest_\d+)/")
_ACTIVATIONS = {
    "silu": jax.nn.silu,
    "gelu": functools.partial(jax.nn.gelu, approximate=False),
    "gelu_tanh": functools.partial(jax.nn.gelu, approximate=True),
    "relu": jax.nn.relu,
}


class Projection(nn.Module):
  """A linear map of the last axes: an einsum with a kernel, and a bias.

  An adapter (LoRA, 2106.09685) adds (alpha / rank) · (x·A)·B.

  Attributes:
    letters: the einsum, such as "BTD,DF->BTF"; a kernel's inputs come first.
    shape: shape of the kernel.
    std: standard deviation of a new kernel.
    bias: whether to add a bias, with the shape of the kernel's output axes.
    out: element type of the result; that of the input by default.
    lora: which projections have adapters, and of what kind.
  """

  letters: str
  shape: tuple[int, ...]
  std: float
  bias: bool = False
  out: DTypeLike | None = None
  lora: config.Lora = config.NO_LORA

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Returns the products, plus bias and adapter, of type `out`."""
    init = nn.initializers.normal(self.std)
    kernel = self.param("kernel", init, self.shape).astype(x.dtype)
    out = self.out or x.dtype
    y = jnp.einsum(self.letters, x, kernel, preferred_element_type=out)
    if self.bias:
      shape = self.shape[self._inputs :]
      y += self.param("bias", nn.initializers.zeros, shape).astype(out)
    name = projection("/".join(self.path))
    if self.lora.rank and re.fullmatch(self.lora.targets, name):
      y = checkpoint_name(y + self._adapter(x, out), ADAPTED)
    return y

  def _adapter(self, x: Array, out: DTypeLike) -> Array:
    """Returns what the adapter adds; a new A is drawn like PEFT's, B is zero."""
    rank, inputs = self.lora.rank, self._inputs
    in_shape, out_shape = self.shape[:inputs], self.shape[inputs:]
    a = self.param("lora_a", _uniform, (*in_shape, rank)).astype(x.dtype)
    b = self.param("lora_b", nn.initializers.zeros, (rank, *out_shape))
    x_letters, kernel_letters, result = re.split(r",|->", self.letters)
    in_letters, out_letters = kernel_letters[:inputs], kernel_letters[inputs:]
    rank_letters = x_letters.removesuffix(in_letters) + "r"
    x = jnp.einsum(f"{x_letters},{in_letters}r->{rank_letters}", x, a)
    return jnp.einsum(
        f"{rank_letters},r{out_letters}->{result}",
        x * (self.lora.alpha / rank),
        b.astype(x.dtype),
        preferred_element_type=out,
    )

  @property
  def _inputs(self) -> int:
    """The number of the kernel's leading axes that are inputs."""
    _, kernel, result = re.split(r",|->", self.letters)
    return sum(letter not in result for letter in kernel)


def table(
    module: nn.Module, arch: config.Model, name: str
) -> Float[Array, "V D"]:
  """Returns the rows of the "embedding" or of learned "positions".

  New rows of the padding are 0.
  """
  rows, multiple = arch.max_positions, 1
  if name == "embedding":
    rows, multiple = arch.vocab_size, arch.vocab_multiple
  padded = -(-rows // multiple) * multiple

  def init(key: Array, shape: tuple[int, ...]) -> Array:
    """Draws the rows, and fills those of the padding with zeros."""
    drawn_rows = arch.init_std * jax.random.normal(key, (rows, shape[1]))
    return jnp.pad(drawn_rows, ((0, shape[0] - rows), (0, 0)))

  return module.param(name, init, (padded, arch.width))


def projection(path: str) -> str:
  """Returns a projection's path without its layer, such as "mlp/up"."""
  return _LAYER.sub("", path, count=1)


def _uniform(key: Array, shape: tuple[int, ...]) -> Array:
  """Uniform within 1 / sqrt(inputs): Kaiming's with a = sqrt(5)."""
  bound = 1 / math.sqrt(math.prod(shape[:-1]))
  return jax.random.uniform(key, shape, minval=-bound, maxval=bound)


class Norm(nn.Module):
  """RMSNorm (1910.07467) or LayerNorm (1607.06450), in float32.

  Attributes:
    arch: the architecture, which has the kind of norm and its epsilon.
    kind: "rms" or "layer"; that of `arch` by default.
  """

  arch: config.Model
  kind: str = ""

  @nn.compact
  def __call__(self, x: Float[Array, "... D"]) -> Float[Array, "... D"]:
    """Returns normalized vectors, in the type of `x`."""
    shape, dtype = x.shape[-1:], x.dtype
    is_layer_norm = (self.kind or self.arch.norm) == "layer"
    x = x.astype(jnp.float32)
    if is_layer_norm:
      x -= x.mean(-1, keepdims=True)
    x *= jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + self.arch.norm_eps)
    if self.arch.norm_plus_one:
      scale = self.param("scale", nn.initializers.zeros, shape)
      x *= 1 + scale.astype(jnp.float32)
    else:
      x *= self.param("scale", nn.initializers.ones, shape)
    if is_layer_norm:
      x += self.param("bias", nn.initializers.zeros, shape)
    return x.astype(dtype)


class Mlp(nn.Module):
  """An MLP, gated (2002.05202) or plain."""

  arch: config.Model
  lora: config.Lora = config.NO_LORA

  @nn.compact
  def __call__(self, x: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
    """Returns vectors of the same width, in the type of `x`."""
    arch, activation = self.arch, _ACTIVATIONS[self.arch.activation]
    up_shape, down_shape = (arch.width, arch.mlp_width), (
        arch.mlp_width,
        arch.width,
    )
    std, down_std = arch.init_std, residual_std(arch)
    project = functools.partial(Projection, bias=arch.mlp_bias, lora=self.lora)
    hidden = project("BTD,DF->BTF", up_shape, std, name="up")(x)
    if arch.gated:
      gate = project("BTD,DF->BTF", up_shape, std, name="gate")(x)
      hidden = activation(gate) * hidden
    else:
      hidden = activation(hidden)
    return project("BTF,FD->BTD", down_shape, down_std, name="down")(hidden)


def residual_std(arch: config.Model) -> float:
  """Returns the standard deviation of new matrices that write to the residual.

  It is divided by the square root of the number of such matrices, so that the
  residual does not grow with depth.
  """
  return arch.init_std / math.sqrt(2 * arch.layers)


def soft_cap(x: Array, cap: float) -> Array:
  """Returns c · tanh(x / c) (2408.00118, section 2), or x if c is 0."""
  return cap * jnp.tanh(x / cap) if cap else x
