"""The loss of every token of a batch, for comparisons with plain forms."""

from typing import Any

import jax
from jax import numpy as jnp
import numpy as np

from zsgen.models import model as model_lib


def every_position(positions: np.ndarray) -> np.ndarray:
  """Returns the loss positions of all tokens that can have a loss.

  Args:
    positions: of the tokens in their segments, [R, T].

  Returns:
    int32 [1, K]: all rows are one row group.
  """
  return np.flatnonzero(positions).astype(np.int32)[None]


def token_nll(
    model: model_lib.Model, params: Any, batch: model_lib.Batch
) -> jax.Array:
  """Returns the loss of each token, [R, T]; 0 where it is not computed.

  Args:
    model: the model.
    params: its parameters.
    batch: rows whose loss positions are of one row group.
  """
  values = model.token_nll(params, batch)
  line = jnp.zeros(batch.tokens.size).at[batch.loss_positions[0]].set(values[0])
  return line.at[0].set(0).reshape(batch.tokens.shape)
