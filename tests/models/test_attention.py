"""Attention in blocks is attention."""

import functools

import jax
from jax import numpy as jnp
import numpy as np
import pytest

from zsgen.models import attention


def _plain(query, key, value, segments, *, scale, cap=0.0, window=None):
  """One softmax over all scores, float64, a loop over heads."""
  query, key, value = (np.asarray(x, np.float64) for x in (query, key, value))
  length, heads = query.shape[1:3]
  visible = segments[:, :, None] == segments[:, None, :]
  visible &= np.tril(np.ones((length, length), bool))
  if window is not None:
    visible &= ~np.tril(np.ones((length, length), bool), -window)
  out = np.empty_like(query)
  for head in range(heads):
    shared = head // (heads // key.shape[2])
    scores = query[:, :, head] @ key[:, :, shared].transpose(0, 2, 1)
    scores = scores * scale
    if cap:
      scores = cap * np.tanh(scores / cap)
    weights = np.where(visible, np.exp(scores), 0)
    weights /= weights.sum(-1, keepdims=True)
    out[:, :, head] = weights @ value[:, :, shared]
  return out


@pytest.mark.parametrize("length", [7, 128, 300, 1100])
@pytest.mark.parametrize(
    "fields",
    [{}, {"window": 1}, {"window": 100}, {"cap": 2.0, "window": 200}],
    ids=str,
)
def test_blocks_equal_one_softmax(length, fields):
  rng = np.random.default_rng(length)
  query = rng.normal(size=(2, length, 4, 8)).astype(np.float32)
  key, value = rng.normal(size=(2, 2, length, 2, 8)).astype(np.float32)
  segments = np.sort(rng.integers(0, 4, (2, length)), axis=1)
  attend = functools.partial(attention.attend, scale=0.3, **fields)
  found = jax.jit(attend)(query, key, value, jnp.array(segments))
  wanted = _plain(query, key, value, segments, scale=0.3, **fields)
  np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
