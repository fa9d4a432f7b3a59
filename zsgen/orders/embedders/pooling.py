"""Means of hidden states over the tokens of each row."""

from collections.abc import Callable
import functools
from typing import Any

import jax
from jax import numpy as jnp
from jaxtyping import Float

from zsgen.core import mesh as mesh_lib
from zsgen.models import depth
from zsgen.models import model as model_lib
from zsgen.models.arrays import Array
from zsgen.orders.embedders import row_batches


@functools.lru_cache(maxsize=8)
def make(
    model: model_lib.Model, layer: int, mesh: jax.sharding.Mesh
) -> Callable[[Any, row_batches.RowBatch], jax.Array]:
  """Returns `weighted_means` of all parameters and a batch, compiled once.

  Every device has the result.
  """
  return jax.jit(
      functools.partial(weighted_means, model=model, layer=layer),
      out_shardings=mesh_lib.replicated(mesh),
  )


def weighted_means(
    params: dict[str, Any],
    batch: row_batches.RowBatch,
    *,
    model: model_lib.Model,
    layer: int,
) -> Float[Array, "R D"]:
  """Returns the position-weighted mean of the hidden states of each row.

  The i-th of n tokens has a weight of i / (1 + … + n) (2503.01807, section 3).

  Args:
    params: the parameters of the model.
    batch: the rows; the result of a row without tokens is 0.
    model: the model.
    layer: see `depth.hidden_states`.
  """
  positions, segments = spread(batch)
  states = depth.hidden_states(
      model, params, batch.tokens, positions, segments, layer
  )
  weights = jnp.where(segments > 0, positions + 1, 0).astype(jnp.float32)
  weights /= jnp.maximum(weights.sum(-1, keepdims=True), 1)
  return jnp.einsum(
      "RT,RTD->RD",
      weights,
      states.astype(jnp.float32),
      precision=jax.lax.Precision.HIGHEST,
  )


def spread(batch: row_batches.RowBatch) -> tuple[Array, Array]:
  """Returns positions and segments of rows of one example, both int32 [R, T].

  The segment is 1 where the example is, and 0 in the padding.
  """
  indices = jnp.arange(batch.tokens.shape[-1])
  is_token = indices < batch.lengths[..., None]
  return jnp.where(is_token, indices, 0), is_token.astype(jnp.int32)
