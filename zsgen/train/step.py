"""The training step: pure, and a witness of the ids that it consumed."""

from collections.abc import Callable
from typing import Any, Generic, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from zsgen.core import mesh as mesh_lib
from zsgen.models import arrays, gather
from zsgen.models import lora as lora_lib
from zsgen.models import model as model_lib
from zsgen.train import batches, loss_slots, optimizer, trees


class State(NamedTuple):
  """What a checkpoint holds: of the parameters those that are trained."""

  params: trees.Params
  moments: optax.OptState


class Metrics(NamedTuple, Generic[batches.Leaf]):
  """What a step reports, on the devices or copied to the host."""

  loss: batches.Leaf  # float32 []
  grad_norm: batches.Leaf  # float32 [], before clipping
  tokens: batches.Leaf  # int32 [], all real tokens
  loss_tokens: batches.Leaf  # int32 []
  ids: batches.Leaf  # int32 [B], of the examples found in the rows


def fetch(metrics: Metrics[jax.Array]) -> Metrics[np.ndarray]:
  """Returns metrics on the host, when the step is done.

  On CPUs, `jax.device_get` takes three times as long for a few small arrays.
  """
  for array in metrics:
    array.copy_to_host_async()  # All copies at once; on CPUs there are none.
  return Metrics(*map(np.asarray, metrics))


def init_state(params: trees.Params, first_moment: str) -> State:
  """Returns the state before the first step."""
  return State(params, optimizer.init(params, first_moment))


def batch_shardings(
    mesh: jax.sharding.Mesh,
) -> batches.Batch[jax.sharding.NamedSharding]:
  """Returns a batch's shardings: rows and their positions are split, values per
  example not.
  """
  rows, replicated = mesh_lib.position_sharding(mesh), mesh_lib.replicated(mesh)
  return batches.Batch(
      tokens=rows,
      positions=rows,
      segments=rows,
      mask=rows,
      loss_positions=mesh_lib.group_sharding(mesh),
      ids=replicated,
      lengths=replicated,
  )


def per_example(
    values: arrays.Array, segments: arrays.Array, slots: int
) -> jax.Array:
  """Sums values [R, T] over the segments of each of `slots` examples."""
  sums = jax.ops.segment_sum(values.ravel(), segments.ravel(), slots + 1)
  return sums[1:]


def loss_segments(
    batch: model_lib.Batch, position_shards: int = 1
) -> jax.Array:
  """Returns the segment of the token in each loss slot, int32 [G, K].

  It is 0 in empty slots.

  Args:
    batch: the rows.
    position_shards: see `gather.gather`.
  """
  segments = gather.gather(
      batch.segments, batch.loss_positions, position_shards=position_shards
  )
  return jnp.where(batch.loss_positions == loss_slots.EMPTY, 0, segments)


def sum_losses(
    values: arrays.Array, batch: batches.Batch[jax.Array]
) -> jax.Array:
  """Sums the values of loss slots [G, K] of each example, [B]."""
  return per_example(values, loss_segments(batch), batch.ids.shape[0])


def token_weights(batch: batches.Batch[jax.Array], groups: int) -> jax.Array:
  """Returns the weight of the loss of a token of each group, float32 [groups].

  The weighted sum of the tokens' losses is the loss of a step: the mean over
  `groups` of each group's mean over its loss tokens. Examples i, i + groups, …
  form a group. One group is the token mean over the global batch; two are the
  released code's mean of device means (2 x 8). Groups without loss tokens do
  not count.
  """
  slots = batch.ids.shape[0]
  counts = per_example(batch.mask, batch.segments, slots)
  counts = counts.reshape(-1, groups).sum(0)
  return 1 / (jnp.maximum(counts, 1) * jnp.maximum((counts > 0).sum(), 1))


def slot_weights(
    rows: model_lib.Batch, weights: jax.Array, position_shards: int = 1
) -> jax.Array:
  """Returns the weight of the token in each loss slot, float32 [G, K].

  Args:
    rows: the rows; the weight of an empty slot is 0.
    weights: `token_weights` of the whole batch.
    position_shards: see `gather.gather`.
  """
  segments = loss_segments(rows, position_shards)
  by_segment = weights[(segments - 1) % len(weights)]
  return jnp.where(segments > 0, by_segment, 0.0)


def witnessed_ids(batch: batches.Batch[jax.Array]) -> jax.Array:
  """Returns ids of the examples whose tokens are all in the rows, int32 [B].

  Computed on the device from what was fed after packing: an example that is
  missing, short or twice there comes back as NO_EXAMPLE.
  """
  slots = batch.ids.shape[0]
  units = jnp.ones_like(batch.segments)
  counts = per_example(units, batch.segments, slots)
  is_complete = (counts == batch.lengths) & (batch.lengths > 0)
  return jnp.where(is_complete, batch.ids, batches.NO_EXAMPLE)


class _LossRows(NamedTuple):
  """What the loss of some rows is computed from."""

  tokens: jax.Array
  positions: jax.Array
  segments: jax.Array
  loss_positions: jax.Array


def train_step(
    state: State,
    frozen: trees.Params,
    batch: batches.Batch[jax.Array],
    hyper: optimizer.Hyper,
    *,
    model: model_lib.Model,
    groups: int,
    parts: int,
    first_moment: str,
) -> tuple[State, Metrics[jax.Array]]:
  """Computes one update.

  Args:
    state: trainable parameters and their moments.
    frozen: parameters that stay; {} where all are trained.
    batch: the packed examples of the step.
    hyper: learning rate and the like, scalars.
    model: gives the loss of each token.
    groups: see `token_weights`.
    parts: micro-batches that the rows are computed in, one after the other;
      each token counts the same in any number of them.
    first_moment: element type of Adam's first moment.

  Returns:
    The new state, and what the step reports.
  """

  def loss_of(trainable: Any, rows: _LossRows) -> arrays.Array:
    """Returns the weighted sum of the losses of the rows' tokens."""
    params = lora_lib.join(trainable, frozen)
    shards = model.execution.position_shards
    return model.loss(params, rows, slot_weights(rows, weights, shards))

  weights = token_weights(batch, groups)
  rows = _LossRows(
      batch.tokens, batch.positions, batch.segments, batch.loss_positions
  )
  gradient = jax.value_and_grad(loss_of)
  if parts == 1:
    loss, grads = gradient(state.params, rows)
  else:
    loss, grads = _accumulated(gradient, state.params, rows, parts)
  adam = optimizer.transformation(hyper, first_moment)
  updates, moments = adam.update(grads, state.moments, state.params)
  metrics = Metrics(
      loss=loss,
      grad_norm=optax.tree.norm(grads),
      tokens=(batch.segments > 0).sum(),
      loss_tokens=batch.mask.sum().astype(jnp.int32),
      ids=witnessed_ids(batch),
  )
  return State(optax.apply_updates(state.params, updates), moments), metrics


def _accumulated(
    gradient: Callable[..., tuple[jax.Array, Any]],
    params: Any,
    rows: _LossRows,
    parts: int,
) -> tuple[jax.Array, Any]:
  """Sums of losses and gradients of the parts, one after the other."""
  # Rows r, r + parts, … form a part: none has to move to another device. Row
  # groups are numbered likewise.
  split = jax.tree.map(
      lambda array: array.reshape(-1, parts, *array.shape[1:]).swapaxes(0, 1),
      rows,
  )

  def add(sums: Any, part: _LossRows) -> tuple[Any, None]:
    """Adds the loss and the gradients of a part to the sums."""
    return jax.tree.map(jnp.add, sums, gradient(params, part)), None

  zeros = jnp.zeros((), jnp.float32), jax.tree.map(jnp.zeros_like, params)
  sums, _ = jax.lax.scan(add, zeros, split)
  return sums
