"""Held-out loss: mean over the answer tokens of each example."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from zsgen import config
from zsgen import mesh as mesh_lib
from zsgen.data import store as store_lib
from zsgen.models import model as model_lib
from zsgen.training import batches, loop
from zsgen.training import step as step_lib


class Loss:
  """Loss of every example of a held-out set (spec section 3.5).

  An example's loss is the mean over its answer tokens, a task's the mean over
  its examples; the curve is the mean over examples and, beside it, over
  tasks. Examples are laid out once and stay on the devices.

  Args:
    name: path of its metrics.
    spec: the held-out set, and how often.
    store: where the examples are.
    model: what is evaluated.
    mesh: where it is evaluated.
    layouts: shapes of the batches; the largest is used.
  """

  def __init__(
      self,
      name: str,
      spec: config.Eval,
      store: store_lib.Store,
      model: model_lib.Model,
      mesh: jax.sharding.Mesh,
      layouts: batches.Layouts,
  ):
    self.name = name
    self.every_steps = spec.every_steps
    self.ids = store.split_ids(spec.split)
    self._tasks = store.task_index[self.ids]
    self._names = store.tasks
    shards = step_lib.batch_shardings(mesh)
    self._slots, chunks = _chunks(store, self.ids, layouts)
    self._batches = [
        jax.device_put(batches.lay_out(chunk, layouts), shards)
        for chunk in chunks
    ]
    self._losses = jax.jit(
        functools.partial(example_losses, model=model),
        out_shardings=mesh_lib.replicated(mesh),
    )

  def __call__(self, params: Any) -> loop.Evaluation:
    """Evaluates parameters."""
    found = [self._losses(params, batch) for batch in self._batches]
    losses = np.empty(len(self.ids), np.float32)
    for slots, values in zip(self._slots, found, strict=True):
      losses[slots] = np.asarray(values)[: len(slots)]
    return loop.Evaluation(self._summary(losses), losses)

  def _summary(self, losses: np.ndarray) -> dict[str, float]:
    """Means over examples, over tasks, and of each task."""
    exact = losses.astype(np.float64)
    by_task = {
        self._names[task]: exact[self._tasks == task].mean()
        for task in np.unique(self._tasks)
    }
    return {
        f"{self.name}/loss": float(exact.mean()),
        f"{self.name}/task_mean_loss": float(np.mean(list(by_task.values()))),
        **{
            f"{self.name}/{task}/loss": float(loss)
            for task, loss in by_task.items()
        },
    }


def example_losses(
    params: Any, batch: batches.Batch, *, model: model_lib.Model
) -> jax.Array:
  """Mean loss over the answer tokens of each example, float32 [B]."""
  slots = batch.ids.shape[0]
  nll = model.token_nll(params, batch)
  sums = step_lib.per_example(nll * batch.mask, batch.segments, slots)
  counts = step_lib.per_example(batch.mask, batch.segments, slots)
  return sums / jnp.maximum(counts, 1)


def _chunks(
    store: store_lib.Store, ids: np.ndarray, layouts: batches.Layouts
) -> tuple[list[np.ndarray], list[batches.Examples]]:
  """Splits a held-out set into batches that fill the largest layout.

  Returns:
    For each batch the places of its examples in `ids`, and the examples,
    padded to one number so that one program serves all.
  """
  rows = max(layouts.rows)
  packed = batches.best_fit(store.lengths[ids].tolist(), layouts.length)
  places = [
      np.array(sum(packed[i : i + rows], []))
      for i in range(0, len(packed), rows)
  ]
  most = max(map(len, places))
  padded = [
      np.pad(
          ids[each], (0, most - len(each)), constant_values=batches.NO_EXAMPLE
      )
      for each in places
  ]
  return places, [batches.look_up(store, each) for each in padded]
