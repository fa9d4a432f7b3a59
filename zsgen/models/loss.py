"""Computes the loss of tokens from hidden states, in chunks of positions.

The logits of one chunk are in memory at a time. Chunks split the positions of
each row group evenly, so that rows remain on their devices.

Axes: G row groups, K positions of a group, c positions of a chunk, D width.
"""

from collections.abc import Callable
import functools
from typing import Any

import jax
from jax import numpy as jnp
from jaxtyping import Float, Int

from zsgen.models import execution
from zsgen.models import head as head_lib
from zsgen.models.arrays import Array


def judge(
    head: head_lib.Head,
    params: dict[str, Any],
    x: Float[Array, "G K D"],
    targets: Int[Array, "G K"],
    kind: Callable[[Array, Array], Array],
    chunk: int,
) -> Float[Array, "G K"]:
  """Applies `kind` to the logits and the target of each position.

  Args:
    head: the head.
    params: the parameters of the model.
    x: hidden states.
    targets: token ids.
    kind: `head.nll` or `head.is_likeliest`.
    chunk: most positions of a group whose logits are in memory at the same
      time; 0 for all.
  """

  def judge_chunk(piece: tuple[Array, Array]) -> Array:
    """Returns the values of a chunk of positions, [G, c]."""
    x, targets = piece
    return kind(_logits(head, params, x), targets)

  pieces = _split((x, targets), chunk)
  if len(pieces[1]) == 1:
    return judge_chunk((x, targets))
  return _join(jax.lax.map(judge_chunk, pieces), *targets.shape)


def weighted_nll(
    head: head_lib.Head,
    params: dict[str, Any],
    x: Float[Array, "G K D"],
    targets: Int[Array, "G K"],
    weights: Float[Array, "G K"],
    chunk: int,
) -> Float[Array, ""]:
  """Returns the weighted sum of the targets' negative log-likelihoods.

  If it is differentiated, each chunk's gradient is computed together with its
  value, so that no logits are kept or computed again for the backward pass.

  Args:
    head: the head.
    params: the parameters of the model.
    x: hidden states.
    targets: token ids.
    weights: of each position; a constant for the gradient.
    chunk: see `judge`.
  """
  own_params = head_lib.own_params(head.arch, params)
  return _weighted_nll(head, chunk, own_params, x, (targets, weights))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _weighted_nll(
    head: head_lib.Head,
    chunk: int,
    params: dict[str, Any],
    x: Array,
    targets_weights: tuple[Array, Array],
) -> Array:
  """Returns the weighted sum of the losses, computed in pieces."""
  pieces = _split((x, *targets_weights), chunk)
  return jax.lax.map(lambda piece: _sum(head, params, *piece), pieces).sum()


def _sum(
    head: head_lib.Head,
    params: dict[str, Any],
    x: Float[Array, "G c D"],
    targets: Int[Array, "G c"],
    weights: Float[Array, "G c"],
) -> Float[Array, ""]:
  """Returns `weighted_nll` of a chunk."""
  return (head_lib.nll(_logits(head, params, x), targets) * weights).sum()


def _forward(
    head: head_lib.Head, chunk: int, params: Any, x: Any, targets_weights: Any
) -> tuple[Array, Any]:
  """Returns the loss, and its gradient by parameters and hidden states.

  The arguments are wrapped with whether they are differentiated: parameters
  that are frozen need no gradient.
  """
  leaves, structure = jax.tree.flatten(params)
  trained = [leaf.value for leaf in leaves if leaf.perturbed]

  def loss(trained: list[Array], *piece: Array) -> Array:
    """Returns the loss as a function of only what is differentiated."""
    rest = iter(trained)
    values = [next(rest) if leaf.perturbed else leaf.value for leaf in leaves]
    return _sum(head, jax.tree.unflatten(structure, values), *piece)

  arrays = (x.value, *(leaf.value for leaf in targets_weights))
  gradient = jax.value_and_grad(loss, argnums=(0, 1))
  value, (grads, x_grad) = _accumulate(gradient, trained, arrays, chunk)
  rest = iter(grads)
  by_leaf = [next(rest) if leaf.perturbed else None for leaf in leaves]
  return value, (jax.tree.unflatten(structure, by_leaf), x_grad)


def _accumulate(
    gradient: Callable[..., Any],
    trained: list[Array],
    arrays: tuple[Array, ...],
    chunk: int,
) -> tuple[Array, tuple[list[Array], Array]]:
  """Returns the sums of the chunks' values and gradients by parameters, and
  the gradient by hidden states.
  """
  groups, length, _ = arrays[0].shape
  pieces = _split(arrays, chunk)
  if len(pieces[0]) == 1:
    return gradient(trained, *arrays)

  def add(sums: Any, piece: tuple[Array, ...]) -> tuple[Any, Array]:
    """Adds a chunk to the sums; returns them and its gradient by states."""
    value, (grads, x_grad) = gradient(trained, *piece)
    return jax.tree.map(jnp.add, sums, (value, grads)), x_grad

  zeros = jnp.zeros((), jnp.float32), jax.tree.map(jnp.zeros_like, trained)
  (value, grads), x_grad = jax.lax.scan(add, zeros, pieces)
  return value, (grads, _join(x_grad, groups, length))


def _backward(
    head: head_lib.Head, chunk: int, gradients: Any, cotangent: Array
) -> tuple[Any, Array, None]:
  """Scales the gradients that the forward pass has computed."""
  del head, chunk
  params, x = jax.tree.map(
      lambda leaf: (leaf * cotangent).astype(leaf.dtype), gradients
  )
  return params, x, None


_weighted_nll.defvjp(_forward, _backward, symbolic_zeros=True)


def _logits(head: head_lib.Head, params: dict[str, Any], x: Array) -> Any:
  # Gradients may be traced when the context of the model has been left.
  with execution.precision(head.arch.dtype):
    return head.apply({"params": params}, x)


def _split(arrays: tuple[Array, ...], chunk: int) -> tuple[Array, ...]:
  """Returns arrays [G, K, ...] as chunks of equal size, [n, G, c, ...].

  The last chunk is padded with zeros, which needs less than n positions.
  """
  groups, length = arrays[0].shape[:2]
  count = -(-length // chunk) if chunk else 1
  size = -(-length // count)

  def split(array: Array) -> Array:
    """Returns the chunks of an array, [n, G, c, ...]."""
    rest = array.shape[2:]
    widths = [(0, 0), (0, count * size - length), *([(0, 0)] * len(rest))]
    array = jnp.pad(array, widths)
    return array.reshape(groups, count, size, *rest).swapaxes(0, 1)

  return jax.tree.map(split, arrays)


def _join(
    chunks: Float[Array, "n G c *rest"], groups: int, length: int
) -> Float[Array, "G K *rest"]:
  """Undoes `_split`."""
  lines = chunks.swapaxes(0, 1).reshape(groups, -1, *chunks.shape[3:])
  return lines[:, :length]
