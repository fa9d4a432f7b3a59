"""What blocks are built of: projections, norms, the MLP.

Letters: B rows, T positions, D width, F hidden width of the MLP, r rank of an
adapter.
"""

import functools
import math
import re

from flax import linen as nn
import jax
from jax import numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from zsgen.core import config

# Name of what an adapted projection gives, for what keeps it.
ADAPTED = "adapted"
# What precedes a projection's own path: its layer.
_LAYER = re.compile(r"(blocks/\d+|rest_\d+)/")
_ACTIVATIONS = {
    "silu": jax.nn.silu,
    "gelu": functools.partial(jax.nn.gelu, approximate=False),
    "gelu_tanh": functools.partial(jax.nn.gelu, approximate=True),
    "relu": jax.nn.relu,
}


class Projection(nn.Module):
  """A linear map of the last axes: an einsum with a kernel, and a bias.

  With an adapter (LoRA, 2106.09685), (alpha / rank) · (x·A)·B is added.

  Attributes:
    letters: the einsum, such as "BTD,DF->BTF"; a kernel's inputs come first.
    shape: of the kernel.
    std: of the kernel when it is new.
    bias: whether one is added, in the shape of the kernel's output axes.
    out: element type of the result; that of the input by default.
    lora: which projections have adapters, and of what kind.
  """

  letters: str
  shape: tuple[int, ...]
  std: float
  bias: bool = False
  out: jnp.dtype | None = None
  lora: config.Lora = config.NO_LORA

  @nn.compact
  def __call__(self, x: Array) -> Array:
    init = nn.initializers.normal(self.std)
    kernel = self.param("kernel", init, self.shape).astype(x.dtype)
    out = self.out or x.dtype
    y = jnp.einsum(self.letters, x, kernel, preferred_element_type=out)
    if self.bias:
      shape = self.shape[self._inputs :]
      y += self.param("bias", nn.initializers.zeros, shape).astype(out)
    own = projection("/".join(self.path))
    if self.lora.rank and re.fullmatch(self.lora.targets, own):
      y = checkpoint_name(y + self._adapter(x, out), ADAPTED)
    return y

  def _adapter(self, x: Array, out: jnp.dtype) -> Array:
    """What the adapter adds; A is new as PEFT draws it, B is zero."""
    rank, inputs = self.lora.rank, self._inputs
    into, back = self.shape[:inputs], self.shape[inputs:]
    a = self.param("lora_a", _uniform, (*into, rank)).astype(x.dtype)
    b = self.param("lora_b", nn.initializers.zeros, (rank, *back))
    ends, kernel, result = re.split(r",|->", self.letters)
    names, kept = kernel[:inputs], kernel[inputs:]
    middle = ends.removesuffix(names) + "r"
    x = jnp.einsum(f"{ends},{names}r->{middle}", x, a)
    return jnp.einsum(
        f"{middle},r{kept}->{result}",
        x * (self.lora.alpha / rank),
        b.astype(x.dtype),
        preferred_element_type=out,
    )

  @property
  def _inputs(self) -> int:
    """How many of the kernel's axes are inputs; they lead."""
    _, kernel, result = re.split(r",|->", self.letters)
    return sum(letter not in result for letter in kernel)


def table(
    module: nn.Module, arch: config.Model, name: str
) -> Float[Array, "V D"]:
  """The rows of "embedding", or of learned "positions", of a module.

  New rows of the padding are 0.
  """
  rows, multiple = arch.max_positions, 1
  if name == "embedding":
    rows, multiple = arch.vocab_size, arch.vocab_multiple
  padded = -(-rows // multiple) * multiple

  def init(key: Array, shape: tuple[int, ...]) -> Array:
    known = arch.init_std * jax.random.normal(key, (rows, shape[1]))
    return jnp.pad(known, ((0, shape[0] - rows), (0, 0)))

  return module.param(name, init, (padded, arch.width))


def projection(path: str) -> str:
  """A projection's path without its layer, such as "mlp/up"."""
  return _LAYER.sub("", path, count=1)


def _uniform(key: Array, shape: tuple[int, ...]) -> Array:
  """Uniform within 1 / sqrt(inputs): Kaiming's with a = sqrt(5)."""
  bound = 1 / math.sqrt(math.prod(shape[:-1]))
  return jax.random.uniform(key, shape, minval=-bound, maxval=bound)


class Norm(nn.Module):
  """RMSNorm (1910.07467) or LayerNorm (1607.06450), in float32.

  Attributes:
    arch: says which, and its epsilon.
    kind: "rms" or "layer"; that of `arch` by default.
  """

  arch: config.Model
  kind: str = ""

  @nn.compact
  def __call__(self, x: Float[Array, "... D"]) -> Float[Array, "... D"]:
    shape, dtype = x.shape[-1:], x.dtype
    layer = (self.kind or self.arch.norm) == "layer"
    x = x.astype(jnp.float32)
    if layer:
      x -= x.mean(-1, keepdims=True)
    x *= jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + self.arch.norm_eps)
    if self.arch.norm_plus_one:
      scale = self.param("scale", nn.initializers.zeros, shape)
      x *= 1 + scale.astype(jnp.float32)
    else:
      x *= self.param("scale", nn.initializers.ones, shape)
    if layer:
      x += self.param("bias", nn.initializers.zeros, shape)
    return x.astype(dtype)


class Mlp(nn.Module):
  """The MLP; gated as in 2002.05202, or plain."""

  arch: config.Model
  lora: config.Lora = config.NO_LORA

  @nn.compact
  def __call__(self, x: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
    arch, activation = self.arch, _ACTIVATIONS[self.arch.activation]
    into, back = (arch.width, arch.mlp_width), (arch.mlp_width, arch.width)
    std, back_std = arch.init_std, residual_std(arch)
    project = functools.partial(Projection, bias=arch.mlp_bias, lora=self.lora)
    hidden = project("BTD,DF->BTF", into, std, name="up")(x)
    if arch.gated:
      gate = project("BTD,DF->BTF", into, std, name="gate")(x)
      hidden = activation(gate) * hidden
    else:
      hidden = activation(hidden)
    return project("BTF,FD->BTD", back, back_std, name="down")(hidden)


def residual_std(arch: config.Model) -> float:
  """Standard deviation of new matrices that write to the residual.

  Divided by the square root of the number of writers, so that the residual
  does not grow in depth.
  """
  return arch.init_std / math.sqrt(2 * arch.layers)


def soft_cap(x: Array, cap: float) -> Array:
  """c · tanh(x / c) (2408.00118, section 2); x itself where c is 0."""
  return cap * jnp.tanh(x / cap) if cap else x
