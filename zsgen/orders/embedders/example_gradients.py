"""Gradients of single examples, in Adam's direction, projected at random."""

from collections.abc import Callable, Mapping
import dataclasses
import functools
import re
from typing import Any, NamedTuple

from flax import traverse_util
import jax
from jax import numpy as jnp
from jaxtyping import Bool, Float

from zsgen.core import mesh as mesh_lib
from zsgen.models import model as model_lib
from zsgen.models.arrays import Array
from zsgen.orders.embedders import by_model, pooling, projection, row_batches

# Parameters by their path.
Flat = Mapping[str, Any]


class Row(NamedTuple):
  """A row of one example, as a `models.model.Batch`."""

  tokens: Array
  positions: Array
  segments: Array
  loss_positions: Array


class Projection(NamedTuple):
  """How gradients become vectors.

  Attributes:
    model: the model, which computes on each device separately.
    seed: decides the projection.
    dim: the length of a vector.
    mesh: the devices that rows are split over.
  """

  model: model_lib.Model
  seed: int
  dim: int
  mesh: jax.sharding.Mesh


def select(trained: Any, pattern: str) -> tuple[dict[str, Any], dict[str, Any]]:
  """Returns the parameters whose path a pattern fully matches, and the rest."""
  flat = flatten(trained)
  subset = {path: flat[path] for path in flat if re.fullmatch(pattern, path)}
  return subset, {path: flat[path] for path in flat if path not in subset}


def flatten(tree: Any) -> dict[str, Any]:
  """Returns the leaves of nested dictionaries by path, such as "mlp/up"."""
  return traverse_util.flatten_dict(tree, sep="/")


def row_model(model: model_lib.Model) -> model_lib.Model:
  """Returns the model as single rows are computed, in plain operations.

  A batch of rows is made of it by `vmap`, and partitioned by the compiler.
  """
  plain = model.execution._replace(mesh=None, attention="xla")
  return dataclasses.replace(model, execution=plain)


def gradient(
    subset: Flat, rest: Flat, row: row_batches.RowBatch, model: model_lib.Model
) -> dict[str, Array]:
  """Returns the gradient of the loss of one example by a subset of the parameters.

  The loss is the mean over its tokens with loss; without such tokens it is 0.

  Args:
    subset: the parameters to differentiate by, by path.
    rest: all other parameters, by path.
    row: a single row: tokens [T], a length [], and loss positions [K].
    model: see `row_model`.
  """
  positions, segments = pooling.spread(row)
  batch = Row(
      *(row.tokens[None], positions[None], segments[None]),
      row.loss_positions[None],
  )
  has_loss = batch.loss_positions > 0
  weights = has_loss / jnp.maximum(has_loss.sum(), 1)

  def loss(parameters: Any) -> Array:
    """Returns the mean loss, in nats, as a function of the subset."""
    tree = traverse_util.unflatten_dict({**parameters, **rest}, sep="/")
    return model.loss(tree, batch, weights)

  return jax.grad(loss)(dict(subset))


def direction(
    gradients: Float[Array, "n *P"],
    first: Float[Array, "*P"],
    second: Float[Array, "*P"],
    adam: by_model.Adam,
) -> Float[Array, "n *P"]:
  """Returns Adam's update for each gradient, up to the learning rate.

  It is that of a step on the example alone (2402.04333, section 3.1), without
  clipping or weight decay.

  Args:
    gradients: of n examples.
    first: the first moment at the checkpoint.
    second: the second moment.
    adam: the number of updates, and the constants.
  """
  count = adam.count + 1
  mean = adam.b1 * first.astype(jnp.float32) + (1 - adam.b1) * gradients
  square = adam.b2 * second + (1 - adam.b2) * gradients**2
  mean, square = mean / (1 - adam.b1**count), square / (1 - adam.b2**count)
  return mean / (jnp.sqrt(square) + adam.eps)


def make(
    loaded: by_model.Loaded, pattern: str, seed: int, dim: int
) -> tuple[Callable[[Any, row_batches.RowBatch], jax.Array], int]:
  """Returns what embeds a batch of rows, and the size of their gradients.

  Args:
    loaded: the parameters, and the moments if gradients are preconditioned.
    pattern: selects the parameters to differentiate by, see `select`.
    seed: decides the projection.
    dim: the length of a vector.

  Returns:
    A function of the rows that are training examples, bool [R], and of the
    batch, which returns `vectors` on all devices; and the number of elements of
    a gradient.
  """
  subset, rest = select(loaded.trained, pattern)
  moments = loaded.moments and tuple(
      {path: flatten(tree)[path] for path in subset} for tree in loaded.moments
  )
  method = Projection(row_model(loaded.model), seed, dim, loaded.mesh)
  embed = _compile(method)
  size = sum(leaf.size for leaf in subset.values())
  arrays = subset, {**rest, **flatten(loaded.frozen)}, moments, loaded.adam
  return functools.partial(embed, *arrays), size


@functools.lru_cache(maxsize=8)
def _compile(method: Projection) -> Callable[..., jax.Array]:
  """Returns `vectors`, whose result every device has, compiled once."""
  return jax.jit(
      functools.partial(vectors, method=method),
      out_shardings=mesh_lib.replicated(method.mesh),
  )


def vectors(
    subset: Flat,
    rest: Flat,
    moments: tuple[Flat, Flat] | None,
    adam: by_model.Adam | None,
    is_training: Bool[Array, "R"],
    batch: row_batches.RowBatch,
    *,
    method: Projection,
) -> Float[Array, "R d"]:
  """Returns the projected gradient of each row.

  Args:
    subset: the parameters to differentiate by, by path.
    rest: all other parameters, by path.
    moments: the first and the second moments of the subset, by path;
      None preconditions no gradient.
    adam: the optimizer's constants; None without moments.
    is_training: the rows whose gradients Adam preconditions.
    batch: the rows; the gradient of an empty one is 0 before Adam.
    method: how gradients become vectors.
  """
  rows = jax.vmap(lambda row: gradient(subset, rest, row, method.model))
  gradients = rows(batch)
  total = jnp.zeros((len(is_training), method.dim), jnp.float32)
  sharding = mesh_lib.batch_sharding(method.mesh)
  key = jax.random.key(method.seed)
  for number, path in enumerate(sorted(gradients)):
    leaf = gradients[path].astype(jnp.float32)
    if adam is not None and moments is not None:
      update = direction(leaf, moments[0][path], moments[1][path], adam)
      condition = is_training.reshape(-1, *(1 for _ in leaf.shape[1:]))
      leaf = jnp.where(condition, update, leaf)
    leaf = jax.lax.with_sharding_constraint(leaf, sharding)
    flat = leaf.reshape(len(leaf), -1)
    leaf_key = jax.random.fold_in(key, number)
    total += projection.project(flat, leaf_key, method.dim)
  return total
