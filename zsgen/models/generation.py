"""Generates text: new tokens for prompts, with one program per shape.

The draw of a token depends only on the seed, the number of the row and the
position of the token: a row gives the same text in any batch and on any mesh.
"""

from collections.abc import Sequence
import dataclasses
from typing import Any, NamedTuple

import jax
from jax import numpy as jnp
from jaxtyping import Bool, Float, Int

from zsgen.models import model as model_lib
from zsgen.models.arrays import Array

# Finite, so that a row can never become NaN.
_NEVER = -1e30


@dataclasses.dataclass(frozen=True)
class Decoding:
  """How tokens are chosen.

  Attributes:
    max_new_tokens: number of tokens after which an answer is cut.
    temperature: divisor of the logits; 0 for greedy decoding.
    top_k: draw from that many of the likeliest tokens; 0 for all.
    top_p: draw from the likeliest tokens whose probabilities add up to it
      (1904.09751); 1 for all.
    penalty: divisor of the logits of tokens that the answer already has;
      negative logits are multiplied by it (1909.05858); 1 for none.
    ban_end: whether the first token may not be an end token.
  """

  max_new_tokens: int
  temperature: float = 0.0
  top_k: int = 0
  top_p: float = 1.0
  penalty: float = 1.0
  ban_end: bool = False


class _Progress(NamedTuple):
  """Partial answers: N is the maximum of new tokens, V the vocabulary."""

  step: Int[Array, ""]
  last: Int[Array, "B"]
  cache: model_lib.Cache
  answers: Int[jax.Array, "B N"]
  used: Bool[jax.Array, "B V"]
  is_done: Bool[Array, "B"]


def generate(
    params: Any,
    tokens: Int[Array, "B T"] | model_lib.SharedPrompts,
    lengths: Int[Array, "B"],
    rows: Int[Array, "B"],
    seed: Int[Array, ""],
    *,
    model: model_lib.Model,
    decoding: Decoding,
    ends: Sequence[int],
    pad: int,
) -> Int[Array, "B N"]:
  """Returns new tokens for each prompt; call it under `jax.jit`.

  Args:
    params: the parameters of the model.
    tokens: prompts, aligned to the right, or prompts that share prefixes.
    lengths: number of tokens of each prompt; 0 for an empty row, which gets no
      answer.
    rows: numbers that identify the rows, such as example ids.
    seed: the seed of all draws.
    model: the model.
    decoding: how tokens are chosen.
    ends: tokens that end an answer and are kept as its last token.
    pad: the token that follows the end of an answer.

  Returns:
    Answers, including the end token if there is one, N = max_new_tokens.
  """
  limit = decoding.max_new_tokens
  keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), rows)
  # The last token needs no successor: the cache has no room for it.
  is_shared = isinstance(tokens, model_lib.SharedPrompts)
  prefill: Any = model.prefill_shared if is_shared else model.prefill
  logits, cache = prefill(params, tokens, jnp.maximum(lengths, 1), limit - 1)

  def append(
      logits: Array, cache: model_lib.Cache, progress: _Progress
  ) -> _Progress:
    """Appends a token to every unfinished answer."""
    step = progress.step
    logits = _adjust(logits, progress.used, step, decoding, ends)
    next_tokens = _choose(logits, keys, step, decoding)
    next_tokens = jnp.where(progress.is_done, pad, next_tokens)
    return _Progress(
        step=step + 1,
        last=next_tokens,
        cache=cache,
        answers=progress.answers.at[:, step].set(next_tokens),
        used=progress.used.at[jnp.arange(len(rows)), next_tokens].set(True),
        is_done=progress.is_done | _is_among(next_tokens, ends),
    )

  def is_unfinished(progress: _Progress) -> Bool[Array, ""]:
    """Returns whether any answer is unfinished, and has room for a token."""
    return (progress.step < limit) & ~progress.is_done.all()

  def advance(progress: _Progress) -> _Progress:
    """Feeds the last tokens to the model, and appends the next ones."""
    return append(
        *model.decode(params, progress.cache, progress.last), progress
    )

  empty = _Progress(
      step=jnp.zeros((), jnp.int32),
      last=jnp.full(len(rows), pad, jnp.int32),
      cache=cache,
      answers=jnp.full((len(rows), limit), pad, jnp.int32),
      used=jnp.zeros(logits.shape, bool),
      is_done=lengths == 0,
  )
  return jax.lax.while_loop(
      is_unfinished, advance, append(logits, cache, empty)
  ).answers


def _adjust(
    logits: Float[Array, "B V"],
    used: Bool[Array, "B V"],
    step: Int[Array, ""],
    decoding: Decoding,
    ends: Sequence[int],
) -> Float[Array, "B V"]:
  """Applies the penalty and the ban to logits."""
  if decoding.penalty != 1:
    penalized = jnp.where(
        logits > 0, logits / decoding.penalty, logits * decoding.penalty
    )
    logits = jnp.where(used, penalized, logits)
  if decoding.ban_end:
    is_banned = (step == 0) & _is_among(jnp.arange(logits.shape[1]), ends)
    logits = jnp.where(is_banned, _NEVER, logits)
  return logits


def _is_among(tokens: Array, candidates: Sequence[int]) -> Array:
  return (tokens[..., None] == jnp.array(candidates)).any(-1)


def _choose(
    logits: Float[Array, "B V"],
    keys: Array,
    step: Int[Array, ""],
    decoding: Decoding,
) -> Int[Array, "B"]:
  """Chooses a token per row: the likeliest or a draw. Ties: the lowest id."""
  if not decoding.temperature:
    return logits.argmax(-1)
  logits = logits / decoding.temperature
  if decoding.top_k:
    top = jax.lax.top_k(logits, min(decoding.top_k, logits.shape[1]))[0]
    logits = jnp.where(logits < top[:, -1:], _NEVER, logits)
  if decoding.top_p < 1:
    logits = jnp.where(_nucleus(logits, decoding.top_p), logits, _NEVER)
  keys = jax.vmap(jax.random.fold_in, (0, None))(keys, step)
  return jax.vmap(jax.random.categorical)(keys, logits)


def _nucleus(logits: Float[Array, "B V"], share: float) -> Bool[Array, "B V"]:
  """Returns a mask of the fewest likeliest tokens that reach a share."""
  order = jnp.argsort(-logits, axis=-1, stable=True)
  probabilities = jnp.take_along_axis(jax.nn.softmax(logits), order, axis=-1)
  before = jnp.cumsum(probabilities, axis=-1) - probabilities
  is_inside = before < share
  rows = jnp.arange(len(logits))[:, None]
  return jnp.zeros(logits.shape, bool).at[rows, order].set(is_inside)
