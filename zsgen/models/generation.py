"""Text from a model: prompts to new tokens, under one program a shape.

The draw of a token depends on the seed, the row's own number and the place of
the token, on nothing else: the same row gives the same text in any batch, on
any mesh.
"""

from collections.abc import Sequence
import dataclasses
from typing import Any, NamedTuple

import jax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from zsgen.models import model as model_lib

# Finite, so that a row can never become NaN.
_NEVER = -1e30


@dataclasses.dataclass(frozen=True)
class Decoding:
  """How tokens are chosen.

  Attributes:
    max_new_tokens: after which an answer is cut.
    temperature: logits are divided by it; 0: the likeliest token is taken.
    top_k: the likeliest tokens that are drawn from; 0: all.
    top_p: so are the likeliest whose probabilities reach it (1904.09751);
      1: all.
    penalty: what logits of tokens that the answer already has are divided by,
      multiplied where they are negative (1909.05858); 1: none.
    ban_end: the first token is never the end.
  """

  max_new_tokens: int
  temperature: float = 0.0
  top_k: int = 0
  top_p: float = 1.0
  penalty: float = 1.0
  ban_end: bool = False


class _Going(NamedTuple):
  """Rows on their way: N is the most new tokens, V the vocabulary."""

  step: Int[Array, ""]
  last: Int[Array, "B"]
  cache: model_lib.Cache
  answers: Int[Array, "B N"]
  said: Bool[Array, "B V"]
  done: Bool[Array, "B"]


def generate(
    params: Any,
    tokens: Int[Array, "B T"],
    lengths: Int[Array, "B"],
    rows: Int[Array, "B"],
    seed: Int[Array, ""],
    *,
    model: model_lib.Model,
    decoding: Decoding,
    ends: Sequence[int],
    pad: int,
) -> Int[Array, "B N"]:
  """New tokens of each prompt; call it under `jax.jit`.

  Args:
    params: of the model.
    tokens: prompts that end in the last slot.
    lengths: tokens of each; 0: the row is empty and gets no answer.
    rows: numbers that tell rows apart, such as example ids.
    seed: of all draws.
    model: whose parameters they are.
    decoding: how tokens are chosen.
    ends: tokens that end an answer: each is the last one of its answer.
    pad: stands after an answer.

  Returns:
    Answers, each with its end token where it came, N = max_new_tokens.
  """
  count = decoding.max_new_tokens
  keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), rows)
  # The last token needs no successor: the cache has no room for it.
  logits, cache = model.prefill(
      params, tokens, jnp.maximum(lengths, 1), count - 1
  )

  def say(logits: Array, cache: model_lib.Cache, before: _Going) -> _Going:
    """Takes a token of each row that goes on."""
    step = before.step
    logits = _shaped(logits, before.said, step, decoding, ends)
    chosen = _choose(logits, keys, step, decoding)
    chosen = jnp.where(before.done, pad, chosen)
    return _Going(
        step=step + 1,
        last=chosen,
        cache=cache,
        answers=before.answers.at[:, step].set(chosen),
        said=before.said.at[jnp.arange(len(rows)), chosen].set(True),
        done=before.done | _any_of(chosen, ends),
    )

  def goes_on(going: _Going) -> Bool[Array, ""]:
    return (going.step < count) & ~going.done.all()

  def advance(going: _Going) -> _Going:
    return say(*model.decode(params, going.cache, going.last), going)

  nothing = _Going(
      step=jnp.zeros((), jnp.int32),
      last=jnp.full(len(rows), pad, jnp.int32),
      cache=cache,
      answers=jnp.full((len(rows), count), pad, jnp.int32),
      said=jnp.zeros(logits.shape, bool),
      done=lengths == 0,
  )
  return jax.lax.while_loop(
      goes_on, advance, say(logits, cache, nothing)
  ).answers


def _shaped(
    logits: Float[Array, "B V"],
    said: Bool[Array, "B V"],
    step: Int[Array, ""],
    decoding: Decoding,
    ends: Sequence[int],
) -> Float[Array, "B V"]:
  """Logits after the penalty and the ban."""
  if decoding.penalty != 1:
    less = jnp.where(
        logits > 0, logits / decoding.penalty, logits * decoding.penalty
    )
    logits = jnp.where(said, less, logits)
  if decoding.ban_end:
    banned = (step == 0) & _any_of(jnp.arange(logits.shape[1]), ends)
    logits = jnp.where(banned, _NEVER, logits)
  return logits


def _any_of(tokens: Array, known: Sequence[int]) -> Array:
  return (tokens[..., None] == jnp.array(known)).any(-1)


def _choose(
    logits: Float[Array, "B V"],
    keys: Array,
    step: Int[Array, ""],
    decoding: Decoding,
) -> Int[Array, "B"]:
  """A token of each row: the likeliest, or one drawn. Ties: the lowest id."""
  if not decoding.temperature:
    return logits.argmax(-1)
  logits = logits / decoding.temperature
  if decoding.top_k:
    least = jax.lax.top_k(logits, min(decoding.top_k, logits.shape[1]))[0]
    logits = jnp.where(logits < least[:, -1:], _NEVER, logits)
  if decoding.top_p < 1:
    logits = jnp.where(_nucleus(logits, decoding.top_p), logits, _NEVER)
  keys = jax.vmap(jax.random.fold_in, (0, None))(keys, step)
  return jax.vmap(jax.random.categorical)(keys, logits)


def _nucleus(logits: Float[Array, "B V"], share: float) -> Bool[Array, "B V"]:
  """The fewest likeliest tokens whose probabilities reach a share."""
  order = jnp.argsort(-logits, axis=-1, stable=True)
  ranked = jnp.take_along_axis(jax.nn.softmax(logits), order, axis=-1)
  before = jnp.cumsum(ranked, axis=-1) - ranked
  inside = before < share
  rows = jnp.arange(len(logits))[:, None]
  return jnp.zeros(logits.shape, bool).at[rows, order].set(inside)
