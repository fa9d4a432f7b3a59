"""A model for training and generation: new parameters, losses and decoding."""

from collections.abc import Callable
import dataclasses
import functools
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import jax
from jax import numpy as jnp
from jaxtyping import Float, Int

from zsgen.core import config, errors
from zsgen.models import attention, decoder, gather, head
from zsgen.models import execution as execution_lib
from zsgen.models import lora as lora_lib
from zsgen.models import loss as loss_lib
from zsgen.models.arrays import Array

_Result = TypeVar("_Result")


@runtime_checkable
class Batch(Protocol):
  """Rows of segments; positions start at 0 within each segment.

  A segment is contiguous and its number is unique in its row; 0 is padding.
  Logits are computed only for the tokens at loss positions. They are numbered
  along the rows of each row group, each of which has one share of them, or
  several if the positions of rows are split; there are G shares; see `gather`.
  """

  @property
  def tokens(self) -> Int[Array, "B T"]:
    """The tokens of the rows."""
    ...

  @property
  def positions(self) -> Int[Array, "B T"]:
    """The position of each token in its segment."""
    ...

  @property
  def segments(self) -> Int[Array, "B T"]:
    """The number of the segment of each token."""
    ...

  @property
  def loss_positions(self) -> Int[Array, "G K"]:
    """The positions of the tokens whose loss is computed; 0 for none.

    None of them is the first of a segment.
    """
    ...


@runtime_checkable
class SharedBatch(Batch, Protocol):
  """Rows whose segments may share prefixes; for evaluation.

  A prefix is before its members in the same row. The positions of a member
  continue those of its prefix.
  """

  @property
  def spans(self) -> Int[Array, "B T 3"] | None:
    """What each token attends to, see `attention.Spans`; None: its segment."""
    ...


class Cache(NamedTuple):
  """Keys and values of the tokens so far, in slots.

  Attributes:
    key_values: keys and values of each block, [..., B, S, K, d].
    pads: number of empty slots before each prompt, int32 [B].
    used: number of slots that hold a token or padding, int32 [].
  """

  key_values: Any
  pads: Array
  used: Array


class SharedPrompts(NamedTuple):
  """Prompts in rows, in which a prefix is before the prompts that share it.

  Attributes:
    tokens: the tokens of R rows, int32 [R, T].
    positions: their positions in the prompts, int32 [R, T].
    spans: what each token attends to, see `attention.Spans`, int32 [R, T, 3].
    slots: where the tokens of each prompt are in the line of all rows, aligned
      to the right, int32 [B, S]; anything before them.
  """

  tokens: Any
  positions: Any
  spans: Any
  slots: Any


def _precise(method: Callable[..., _Result]) -> Callable[..., _Result]:
  """Traces a method of a model in the precision of its element type."""

  @functools.wraps(method)
  def run(self: "Model", *args: Any, **fields: Any) -> _Result:
    """Calls the method in the precision of the model."""
    with execution_lib.precision(self.arch.dtype):
      return method(self, *args, **fields)

  return run


@dataclasses.dataclass(frozen=True)
class Model:
  """A decoder as pure functions of its parameters.

  Create it with `from_config`, which checks the architecture.

  Attributes:
    arch: the architecture.
    lora: which projections have adapters, whose parameters are the model's.
    execution: how the model is computed.
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
    """Returns the model of an architecture, with adapters as `lora` defines.

    Raises:
      InputError: fields contradict each other.
    """
    _check(arch)
    lora_lib.check(lora)
    model = cls(arch, lora, execution)
    if lora.rank:
      shapes = jax.eval_shape(model.init, jax.random.key(0))
      lora_lib.check_fits(lora, shapes)
    return model

  def init(self, key: jax.Array) -> dict[str, Any]:
    """Returns new float32 parameters, as nested dictionaries of arrays.

    Args:
      key: a typed key, such as `jax.random.key(seed)`.
    """
    token = jnp.zeros((1, 1), jnp.int32)
    params: Any = self._decoder.init(key, token, token, token)["params"]
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
    """Returns float32 logits of the token after each position; see `Batch`."""
    x: Any = self._decoder.apply(
        {"params": params}, tokens, positions, segments
    )
    logits: Any = self._head.apply({"params": params}, x)
    return logits

  @_precise
  def loss(
      self,
      params: dict[str, Any],
      batch: Batch,
      weights: Float[Array, "G K"],
  ) -> Float[Array, ""]:
    """Returns the weighted sum of `token_nll`.

    Training differentiates it; see `loss.weighted_nll`.

    Args:
      params: the parameters of the model.
      batch: the rows.
      weights: the weight of each loss position, 0 where there is none.
    """
    x, targets = self.loss_states(params, batch), self._targets(batch)
    chunk = self.execution.logits_chunk
    return loss_lib.weighted_nll(self._head, params, x, targets, weights, chunk)

  @_precise
  def token_nll(
      self, params: dict[str, Any], batch: Batch
  ) -> Float[Array, "G K"]:
    """Returns the negative log-likelihood of the token at each loss position,
    given the tokens before it in its segment, in nats, float32.

    It is 0 where there is no loss position.
    """
    return self._judge(params, batch, head.nll)[0]

  @_precise
  def token_right(
      self, params: dict[str, Any], batch: Batch
  ) -> Float[Array, "G K"]:
    """Returns 1 where the token at a loss position is the likeliest given the
    ones before it, otherwise 0.

    Greedy decoding reproduces an answer if and only if all of its tokens are 1
    here.
    """
    return self._judge(params, batch, head.is_likeliest)[0]

  @_precise
  def token_scores(
      self, params: dict[str, Any], batch: Batch
  ) -> tuple[Float[Array, "G K"], Float[Array, "G K"]]:
    """Returns `token_nll` and `token_right`, from one pass of the decoder."""
    nll, right = self._judge(params, batch, head.nll, head.is_likeliest)
    return nll, right

  def _judge(
      self, params: dict[str, Any], batch: Batch, *kinds: Any
  ) -> list[Float[Array, "G K"]]:
    """Returns each kind of judgement of the tokens at loss positions, 0 where
    there is none.
    """
    x, targets = self.loss_states(params, batch), self._targets(batch)
    chunk = self.execution.logits_chunk
    is_used = batch.loss_positions > 0
    return [
        jnp.where(
            is_used,
            loss_lib.judge(self._head, params, x, targets, kind, chunk),
            0.0,
        )
        for kind in kinds
    ]

  @_precise
  def loss_states(
      self, params: dict[str, Any], batch: Batch
  ) -> Float[Array, "G K D"]:
    """Returns the hidden state before each loss position."""
    x: Any = self._decoder.apply(
        {"params": params}, batch.tokens, batch.positions, _sight(batch)
    )
    before = jnp.maximum(batch.loss_positions - 1, 0)
    shards = self.execution.position_shards
    return gather.gather(x, before, self.execution.mesh, shards)

  def _targets(self, batch: Batch) -> Int[Array, "G K"]:
    """Returns the token at each loss position."""
    shards = self.execution.position_shards
    return gather.gather(
        batch.tokens, batch.loss_positions, position_shards=shards
    )

  @_precise
  def prefill(
      self,
      params: dict[str, Any],
      tokens: Int[Array, "B T"],
      lengths: Int[Array, "B"],
      room: int,
  ) -> tuple[Float[Array, "B V"], "Cache"]:
    """Reads prompts, so that `decode` can continue them.

    Args:
      params: the parameters of the model.
      tokens: prompts, aligned to the right; slots before them are ignored.
      lengths: number of tokens in each prompt, 1 or more.
      room: number of tokens that may follow.

    Returns:
      Logits of the token after each prompt, and the cache.
    """
    length = tokens.shape[1]
    pads = length - lengths
    slots = jnp.arange(length)
    is_token = slots >= pads[:, None]
    positions = jnp.where(is_token, slots - pads[:, None], 0)
    tokens = jnp.where(is_token, tokens, 0)
    x, key_values = self._caching_decoder.apply(
        {"params": params}, tokens, positions, is_token.astype(jnp.int32)
    )
    padded = jax.tree.map(functools.partial(_pad_slots, room=room), key_values)
    cache = Cache(padded, pads, jnp.asarray(length, jnp.int32))
    return self._last(params, x), cache

  @_precise
  def prefill_shared(
      self,
      params: dict[str, Any],
      prompts: "SharedPrompts",
      lengths: Int[Array, "B"],
      room: int,
  ) -> tuple[Float[Array, "B V"], "Cache"]:
    """Reads prompts of which some share a prefix, as `prefill` reads others.

    Args:
      params: the parameters of the model.
      prompts: the prompts; all rows are on one device.
      lengths: number of tokens in each prompt, 1 or more.
      room: number of tokens that may follow.

    Returns:
      See `prefill`.
    """
    spans = attention.Spans(*jnp.moveaxis(prompts.spans, -1, 0))
    x, key_values = self._caching_decoder.apply(
        {"params": params}, prompts.tokens, prompts.positions, spans
    )
    select = functools.partial(_select_slots, slots=prompts.slots, room=room)
    length = prompts.slots.shape[1]
    cache = Cache(
        jax.tree.map(select, key_values),
        length - lengths,
        jnp.asarray(length, jnp.int32),
    )
    last = x.reshape(-1, 1, x.shape[-1])[prompts.slots[:, -1]]
    return self._last(params, last), cache

  @_precise
  def decode(
      self, params: dict[str, Any], cache: "Cache", tokens: Int[Array, "B"]
  ) -> tuple[Float[Array, "B V"], "Cache"]:
    """Takes one more token per row.

    Args:
      params: the parameters of the model.
      cache: the cache from `prefill` or the previous call; it must have room.
      tokens: the next token of each row.

    Returns:
      Logits of the token that follows, and the extended cache.
    """
    slots = jnp.arange(jax.tree.leaves(cache.key_values)[0].shape[-3])
    is_visible = (slots >= cache.pads[:, None]) & (slots < cache.used)
    is_near = cache.used - slots < self.arch.window
    positions = (cache.used - cache.pads)[:, None]
    x, new = self._caching_decoder.apply(
        {"params": params},
        tokens[:, None],
        positions,
        {"global": is_visible, "local": is_visible & is_near},
        cache.key_values,
    )
    key_values = jax.tree.map(
        lambda old, new: jax.lax.dynamic_update_slice_in_dim(
            old, new, cache.used, axis=-3
        ),
        cache.key_values,
        new,
    )
    extended = Cache(key_values, cache.pads, cache.used + 1)
    return self._last(params, x), extended

  def _last(
      self, params: dict[str, Any], x: Float[Array, "B 1 D"]
  ) -> Float[Array, "B V"]:
    """Returns the logits of one position in each row."""
    logits: Any = self._head.apply({"params": params}, x)
    return logits[:, 0]

  @property
  def on_each_device(self) -> "Model":
    """The same model on each device separately, as within a `shard_map`."""
    execution = self.execution._replace(mesh=None)
    return dataclasses.replace(self, execution=execution)

  @property
  def _decoder(self) -> decoder.Decoder:
    return decoder.Decoder(self.arch, False, self.lora, self.execution)

  @property
  def _caching_decoder(self) -> decoder.Decoder:
    return decoder.Decoder(self.arch, True, self.lora, self.execution)

  @property
  def _head(self) -> head.Head:
    return head.Head(self.arch, self.lora)


def _sight(batch: Batch) -> Any:
  """Returns what the positions of a batch attend to, for the decoder."""
  if not isinstance(batch, SharedBatch) or batch.spans is None:
    return batch.segments
  return attention.Spans(*jnp.moveaxis(batch.spans, -1, 0))


def _pad_slots(
    key_values: Float[Array, "... T K d"], room: int
) -> Float[Array, "... S K d"]:
  """Appends empty slots."""
  widths = [(0, 0)] * key_values.ndim
  widths[-3] = (0, room)
  return jnp.pad(key_values, widths)


def _select_slots(
    key_values: Float[Array, "... R T K d"], slots: Int[Array, "B S"], room: int
) -> Float[Array, "... B S_room K d"]:
  """Gathers the slots of each prompt, and appends empty ones."""
  *layers, rows, length, heads, width = key_values.shape
  line = key_values.reshape(*layers, rows * length, heads, width)
  return _pad_slots(jnp.take(line, slots, axis=-3), room)


def _check(arch: config.Model) -> None:
  """Raises InputError for fields that contradict each other."""
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
        "config.model.pattern is empty; ('global',) attends to all earlier"
        " tokens in every block."
    )
  if ("local" in arch.pattern) != (arch.window > 0):
    raise errors.InputError(
        f"config.model.window is {arch.window} and config.model.pattern"
        f" {arch.pattern}: a window of 1 or more is needed if, and only if,"
        " there are local blocks."
    )
  is_stretched = arch.rope_scaling in ("llama3", "yarn")
  if is_stretched and not (
      arch.rope_original and arch.rope_low < arch.rope_high
  ):
    raise errors.InputError(
        f"config.model.rope_scaling={arch.rope_scaling!r} needs"
        " config.model.rope_original, the length before stretching, and"
        f" rope_low below rope_high; they are {arch.rope_original},"
        f" {arch.rope_low} and {arch.rope_high}."
    )


def check_unread(arch: config.Model) -> None:
  """Raises InputError for an option that the architecture does not use.

  Args:
    arch: the architecture of new parameters; one that is read from files has
      no such options.
  """
  default = config.Model()
  for reason, names in _unread(arch):
    for name in names:
      value = getattr(arch, name)
      if value != getattr(default, name):
        raise errors.InputError(
            f"config.model.{name} is {value!r}, but config.model.{reason},"
            f" so it has no effect. Leave {name} out."
        )


def _unread(arch: config.Model) -> list[tuple[str, tuple[str, ...]]]:
  """Returns options without effect, with the option that is the reason."""
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
  """Returns the number of parameters of a tree of arrays or of shapes."""
  return sum(leaf.size for leaf in jax.tree.leaves(params))
