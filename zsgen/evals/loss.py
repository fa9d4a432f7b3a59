"""Held-out loss: mean over the answer tokens of each example."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from zsgen.core import config
from zsgen.evals import packed, subsets
from zsgen.models import model as model_lib
from zsgen.train import batches, watch
from zsgen.train import step as step_lib


class Loss:
  """Loss of every example of a held-out set (spec section 3.5).

  An example's loss is the mean over its answer tokens, a task's the mean over
  its examples; the curve is the mean over examples and, beside it, over
  tasks.

  Args:
    name: path of its metrics.
    spec: the held-out set, and how much of it.
    place: what is read, and where it is computed.
  """

  def __init__(self, name: str, spec: config.Eval, place: packed.Place):
    store = place.store
    self.name = name
    self.every_steps = spec.every_steps
    self.ids, self.of = subsets.taken(spec, store)
    self.examples = self.ids
    self._tasks = store.task_index[self.ids]
    self._names = store.tasks
    self.packed = packed.Packed(self.ids, example_losses, place)

  def __call__(self, params: Any) -> watch.Evaluation:
    """Evaluates parameters."""
    return self.judged(self.packed(params))

  def judged(self, losses: np.ndarray) -> watch.Evaluation:
    """The evaluation, given the loss of each example, float32 [E]."""
    exact = losses.astype(np.float64)
    tasks = subsets.by_task(exact, self._tasks, self._names)
    metrics = {
        f"{self.name}/loss": float(exact.mean()),
        f"{self.name}/task_mean_loss": float(np.mean(list(tasks.values()))),
        **subsets.metrics(tasks, self.name, "loss"),
    }
    return watch.Evaluation(metrics, f"{self.name}/loss", losses)


def example_losses(
    params: Any, batch: batches.Batch, *, model: model_lib.Model
) -> jax.Array:
  """Mean loss over the answer tokens of each example, float32 [B]."""
  slots = batch.ids.shape[0]
  nll = model.token_nll(params, batch)
  sums = step_lib.per_example(nll * batch.mask, batch.segments, slots)
  counts = step_lib.per_example(batch.mask, batch.segments, slots)
  return sums / jnp.maximum(counts, 1)
