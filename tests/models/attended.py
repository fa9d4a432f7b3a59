"""Attention by one softmax, float64, with its gradient; and the comparison."""

import functools

import jax
import numpy as np

from tests.helpers import closeness
from zsgen.models import attention
from zsgen.models import execution as execution_lib

_SCALE = 0.3


def rows(
    batch: int, length: int, heads: int = 4, kv_heads: int = 2, width: int = 8
) -> tuple[np.ndarray, ...]:
  """Returns random query, key, value and segments; padding, 0, comes last."""
  rng = np.random.default_rng(length)
  shape = (batch, length, heads, width)
  query = rng.normal(size=shape).astype(np.float32)
  shape = (2, batch, length, kv_heads, width)
  key, value = rng.normal(size=shape).astype(np.float32)
  segments = np.sort(rng.integers(1, 5, (batch, length)), axis=1)
  return query, key, value, (segments % 4).astype(np.int32)


def plain(
    query, key, value, segments, cotangent, *, scale, cap=0.0, window=None
) -> tuple[np.ndarray, list[np.ndarray]]:
  """Returns attention, and gradients of query, key, value for `cotangent`."""
  inputs = [np.asarray(x, np.float64) for x in (query, key, value, cotangent)]
  query, key, value, cotangent = inputs
  length, heads = query.shape[1:3]
  visible = segments[:, :, None] == segments[:, None, :]
  visible &= np.tril(np.ones((length, length), bool))
  if window is not None:
    visible &= ~np.tril(np.ones((length, length), bool), -window)
  out = np.empty_like(query)
  gradients = [np.zeros_like(x) for x in (query, key, value)]
  for head in range(heads):
    shared = head // (heads // key.shape[2])
    q, k, v = query[:, :, head], key[:, :, shared], value[:, :, shared]
    scores, slope = scale * (q @ k.swapaxes(1, 2)), scale
    if cap:
      scores = cap * np.tanh(scores / cap)
      slope = scale * (1 - (scores / cap) ** 2)
    weights = np.where(visible, np.exp(scores), 0)
    weights /= weights.sum(-1, keepdims=True)
    out[:, :, head] = weights @ v
    back = cotangent[:, :, head] @ v.swapaxes(1, 2)
    back -= (back * weights).sum(-1, keepdims=True)
    back *= weights * slope
    gradients[0][:, :, head] = back @ k
    gradients[1][:, :, shared] += back.swapaxes(1, 2) @ q
    gradients[2][:, :, shared] += weights.swapaxes(1, 2) @ cotangent[:, :, head]
  return out, gradients


def assert_equals_softmax(
    arrays: tuple[np.ndarray, ...],
    fields: dict,
    execution: execution_lib.Execution,
) -> None:
  """Raises if attention or a gradient of it is not that of one softmax.

  Args:
    arrays: query, key, value and segments, as of `rows`.
    fields: `cap` and `window`.
    execution: the backend, and where.
  """
  *heads, segments = arrays
  cotangent = np.random.default_rng(0).normal(size=heads[0].shape)
  cotangent = cotangent.astype(np.float32)

  @jax.jit
  def run(*heads):
    attend = functools.partial(
        attention.attend,
        segments=segments,
        scale=_SCALE,
        execution=execution,
        **fields,
    )
    out, back = jax.vjp(attend, *heads)
    return out, back(cotangent)

  actual, gradients = run(*heads)
  expected, expected_gradients = plain(
      *heads, segments, cotangent, scale=_SCALE, **fields
  )
  # As one tree: with a window of 1, gradients of query and key are zero.
  closeness.assert_close(
      (actual, list(gradients)), (expected, expected_gradients)
  )


def spans(rows: list[list[tuple]], length: int) -> attention.Spans:
  """Returns the spans of rows with shared prefixes.

  Args:
    rows: for each group of each row, the tokens of its prefix and, as a tuple,
      of what follows in each member.
    length: tokens of a row.
  """
  filled = np.zeros((3, len(rows), length), np.int32)
  filled[0] = np.arange(length)
  for row, groups in enumerate(rows):
    begin = 0
    for prefix, members in groups:
      first, end = begin, begin + prefix
      filled[:, row, first:end] = np.array([first, first, first])[:, None]
      for size in members:
        begin, end = end, end + size
        filled[:, row, begin:end] = np.array([begin, first, first + prefix])[
            :, None
        ]
      begin = end
  return attention.Spans(*filled)
