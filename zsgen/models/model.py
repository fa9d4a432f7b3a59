"""What training knows of a model: new parameters, and the loss of a token."""

from collections.abc import Callable
import dataclasses
import functools
from typing import Any, NamedTuple, Protocol, TypeVar

import jax
from jax import numpy as jnp
from jaxtyping import Array, Float, Int

from zsgen.core import config, errors
from zsgen.models import decoder, head
from zsgen.models import execution as execution_lib
from zsgen.models import lora as lora_lib

_Result = TypeVar("_Result")


class Batch(Protocol):
  """Rows of segments; positions are from 0 within each of them.

  A segment is contiguous and its number unique in its row; 0 is padding.
  """

  tokens: Int[Array, "B T"]
  positions: Int[Array, "B T"]
  segments: Int[Array, "B T"]


class Cache(NamedTuple):
  """Keys and values of the tokens so far, in slots.

  Attributes:
    kept: of each block, [..., B, S, K, d].
    pads: empty slots before each prompt, int32 [B].
    used: slots that hold a token or padding, int32 [].
  """

  kept: Any
  pads: Array
  used: Array


def _precise(method: Callable[..., _Result]) -> Callable[..., _Result]:
  """A method of a model, traced in the precision of its element type."""

  @functools.wraps(method)
  def run(self: "Model", *args: Any, **fields: Any) -> _Result:
    with execution_lib.precision(self.arch.dtype):
      return method(self, *args, **fields)

  return run


@dataclasses.dataclass(frozen=True)
class Model:
  """A decoder as pure functions of its parameters.

  Make it by `from_config`, which checks the architecture.

  Attributes:
    arch: the architecture.
    lora: adapters of projections; their parameters are among the model's.
    execution: how it is computed.
  """

  arch: config.Model
  lora: config.Lora = config.NO_LORA
  execution: execution_lib.Execution = execution_lib.PLAIN

  @classmethod
  def from_config(
      cls,
      arch: config.Model,
      lora: config.Lora = config.NO_LORA,
      execution: execution_lib.Execution = execution_lib.PLAIN,
  ) -> "Model":
    """The model of an architecture, its projections adapted as `lora` says.

    Raises:
      InputError: fields that do not go together.
    """
    _check(arch)
    lora_lib.check(lora)
    model = cls(arch, lora, execution)
    if lora.rank:
      shapes = jax.eval_shape(model.init, jax.random.key(0))
      lora_lib.check_fits(lora, shapes)
    return model

  def init(self, key: Array) -> dict[str, Any]:
    """New float32 parameters, as nested dictionaries of arrays.

    Args:
      key: a typed key, as of `jax.random.key(seed)`.
    """
    one = jnp.zeros((1, 1), jnp.int32)
    params = self._decoder.init(key, one, one, one)["params"]
    if self.arch.tied:
      return params
    x = jnp.zeros((1, 1, self.arch.width))
    return {**params, **self._head.init(key, x)["params"]}

  @_precise
  def logits(
      self,
      params: dict[str, Any],
      tokens: Int[Array, "B T"],
      positions: Int[Array, "B T"],
      segments: Int[Array, "B T"],
  ) -> Float[Array, "B T V"]:
    """Logits of the token after each, float32; see `Batch`."""
    x = self._decoder.apply({"params": params}, tokens, positions, segments)
    return self._head.apply({"params": params}, x)

  @_precise
  def token_nll(
      self, params: dict[str, Any], batch: Batch
  ) -> Float[Array, "B T"]:
    """Negative log-likelihood of each token, in nats, float32.

    Entry t is that of token t given the tokens before it in its segment. It is
    0 for the first token of a segment and for padding.
    """
    return self._judged(params, batch, head.nll)

  def token_right(
      self, params: dict[str, Any], batch: Batch
  ) -> Float[Array, "B T"]:
    """1 where a token is the likeliest after those before it, else 0.

    It is 0 for the first token of a segment and for padding. Greedy decoding
    gives an answer token by token if, and only if, all of it is right here.
    """
    return self._judged(params, batch, head.is_likeliest)

  def _judged(
      self, params: dict[str, Any], batch: Batch, kind: Any
  ) -> Float[Array, "B T"]:
    """What the head makes of each token given those before it, or 0."""
    x = self._decoder.apply(
        {"params": params}, batch.tokens, batch.positions, batch.segments
    )
    after, chunk = _after(batch.tokens), self.execution.logits_chunk
    found = head.judge(self._head, params, x, after, kind, chunk)
    follows = (batch.segments == _after(batch.segments)) & (batch.segments > 0)
    found = jnp.where(follows, found, 0.0)[:, :-1]
    return jnp.pad(found, ((0, 0), (1, 0)))

  @_precise
  def prefill(
      self,
      params: dict[str, Any],
      tokens: Int[Array, "B T"],
      lengths: Int[Array, "B"],
      room: int,
  ) -> tuple[Float[Array, "B V"], "Cache"]:
    """Reads prompts, so that `decode` can go on.

    Args:
      params: of the model.
      tokens: prompts that end in the last slot; what is before them is
        anything.
      lengths: tokens of each prompt, 1 or more.
      room: tokens that may follow.

    Returns:
      Logits of the token after each prompt, and the cache.
    """
    length = tokens.shape[1]
    pads = length - lengths
    slots = jnp.arange(length)
    real = slots >= pads[:, None]
    positions = jnp.where(real, slots - pads[:, None], 0)
    tokens = jnp.where(real, tokens, 0)
    x, kept = self._keeping.apply(
        {"params": params}, tokens, positions, real.astype(jnp.int32)
    )
    grown = jax.tree.map(functools.partial(_grown, room=room), kept)
    cache = Cache(grown, pads, jnp.asarray(length, jnp.int32))
    return self._last(params, x), cache

  @_precise
  def decode(
      self, params: dict[str, Any], cache: "Cache", tokens: Int[Array, "B"]
  ) -> tuple[Float[Array, "B V"], "Cache"]:
    """Takes one more token a row.

    Args:
      params: of the model.
      cache: of `prefill` or of the call before; it must have room.
      tokens: what follows.

    Returns:
      Logits of the token after it, and the cache with it.
    """
    slots = jnp.arange(jax.tree.leaves(cache.kept)[0].shape[-3])
    seen = (slots >= cache.pads[:, None]) & (slots < cache.used)
    near = cache.used - slots < self.arch.window
    positions = (cache.used - cache.pads)[:, None]
    x, new = self._keeping.apply(
        {"params": params},
        tokens[:, None],
        positions,
        {"global": seen, "local": seen & near},
        cache.kept,
    )
    kept = jax.tree.map(
        lambda old, new: jax.lax.dynamic_update_slice_in_dim(
            old, new, cache.used, axis=-3
        ),
        cache.kept,
        new,
    )
    grown = Cache(kept, cache.pads, cache.used + 1)
    return self._last(params, x), grown

  def _last(
      self, params: dict[str, Any], x: Float[Array, "B 1 D"]
  ) -> Float[Array, "B V"]:
    return self._head.apply({"params": params}, x)[:, 0]

  @property
  def alone(self) -> "Model":
    """The same on each device by itself, as within a `shard_map`."""
    how = self.execution._replace(mesh=None)
    return dataclasses.replace(self, execution=how)

  @property
  def _decoder(self) -> decoder.Decoder:
    return decoder.Decoder(self.arch, False, self.lora, self.execution)

  @property
  def _keeping(self) -> decoder.Decoder:
    return decoder.Decoder(self.arch, True, self.lora, self.execution)

  @property
  def _head(self) -> head.Head:
    return head.Head(self.arch, self.lora)


def _after(values: Int[Array, "B T"]) -> Int[Array, "B T"]:
  """What comes next at each position; 0 at the last."""
  return jnp.pad(values[:, 1:], ((0, 0), (0, 1)))


def _grown(
    kept: Float[Array, "... T K d"], room: int
) -> Float[Array, "... S K d"]:
  """With empty slots after the last."""
  widths = [(0, 0)] * kept.ndim
  widths[-3] = (0, room)
  return jnp.pad(kept, widths)


def _check(arch: config.Model) -> None:
  """Raises InputError for fields that do not go together."""
  if arch.heads % arch.kv_heads:
    raise errors.InputError(
        f"config.model.kv_heads is {arch.kv_heads}; it must divide"
        f" config.model.heads, {arch.heads}."
    )
  if arch.positions == "rotary" and arch.head_width % 2:
    raise errors.InputError(
        f"config.model.head_width is {arch.head_width}; rotary positions"
        " turn pairs: make it even, or config.model.positions 'learned'."
    )
  if not arch.pattern:
    raise errors.InputError(
        "config.model.pattern is empty; ('global',) is attention to all tokens"
        " before in every block."
    )
  if ("local" in arch.pattern) != (arch.window > 0):
    raise errors.InputError(
        f"config.model.window is {arch.window} and config.model.pattern"
        f" {arch.pattern}: local blocks, and only they, need a window of 1 or"
        " more."
    )
  stretched = arch.rope_scaling in ("llama3", "yarn")
  if stretched and not (arch.rope_original and arch.rope_low < arch.rope_high):
    raise errors.InputError(
        f"config.model.rope_scaling={arch.rope_scaling!r} needs"
        " config.model.rope_original, the length before stretching, and"
        f" rope_low below rope_high; they are {arch.rope_original},"
        f" {arch.rope_low} and {arch.rope_high}."
    )


def check_unread(arch: config.Model) -> None:
  """Raises InputError for an option that the architecture does not read.

  Args:
    arch: of new parameters; what is read from files has no such options.
  """
  default = config.Model()
  for reason, names in _unread(arch):
    for name in names:
      value = getattr(arch, name)
      if value != getattr(default, name):
        raise errors.InputError(
            f"config.model.{name} is {value!r}, but config.model.{reason}:"
            f" nothing reads it. Leave {name} out."
        )


def _unread(arch: config.Model) -> list[tuple[str, tuple[str, ...]]]:
  """Options that are not read, and the option that is the reason."""
  stretched = ("rope_low", "rope_high", "rope_original")
  rope = ("rope_theta", "rope_local_theta", "rope_scaling", "rope_factor")
  unread = []
  if arch.positions != "rotary":
    unread.append((f"positions is {arch.positions!r}", (*rope, *stretched)))
  if arch.rope_scaling == "none":
    unread.append(("rope_scaling is 'none'", ("rope_factor", *stretched)))
  if arch.rope_scaling == "linear":
    unread.append(("rope_scaling is 'linear'", stretched))
  if "local" not in arch.pattern:
    unread.append(("pattern has no 'local' block", ("rope_local_theta",)))
  return unread


def parameter_count(params: Any) -> int:
  """Number of parameters of a tree of arrays or of shapes."""
  return sum(leaf.size for leaf in jax.tree.leaves(params))
