"""Held-out loss: mean over the answer tokens of each example."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from zsgen.core import config, registry
from zsgen.evals import api, packed
from zsgen.models import model as model_lib
from zsgen.train import batches
from zsgen.train import step as step_lib


@registry.evaluator("loss")
class Loss(packed.PackedEvaluator):
  """Loss of every example of a held-out set (spec section 3.5).

  An example's loss is the mean over its answer tokens.
  """

  declaration = api.Declaration(
      api.Metric("loss", "nats", "lower"),
      figures=("means", "tasks", "distances"),
      counts_unanswered=True,
  )

  def __init__(self, name: str, spec: config.Eval, context: api.Context):
    super().__init__(name, spec, context)
    self.packed = packed.Packed(self.ids, example_losses, context)

  def judged(self, values: np.ndarray) -> api.Evaluation:
    """Returns the evaluation, given the loss of each example, float32 [E]."""
    return api.Evaluation(self.means("loss", values), values)


def example_losses(
    params: Any, batch: batches.Batch[jax.Array], *, model: model_lib.Model
) -> jax.Array:
  """Returns the mean loss over the answer tokens of each example, [B]."""
  slots = batch.ids.shape[0]
  sums = step_lib.sum_losses(model.token_nll(params, batch), batch)
  counts = step_lib.per_example(batch.mask, batch.segments, slots)
  return sums / jnp.maximum(counts, 1)
