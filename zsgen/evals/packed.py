"""Rows of a store, laid out once and kept on the devices."""

import abc
from collections.abc import Callable, Sequence
import functools
from typing import Any

import jax
import numpy as np

from zsgen.core import hosts
from zsgen.core import mesh as mesh_lib
from zsgen.evals import api
from zsgen.train import batches
from zsgen.train import step as step_lib

# Of parameters and a batch, one float32 a slot: [B].
Reduce = Callable[..., jax.Array]


class Packed:
  """One number a row, for any parameters.

  The shapes depend on the rows, the batch size and the mesh only: an
  evaluation gives the same bytes under every order, and under none.

  Args:
    ids: rows of the store, int64 [E].
    reduce: makes float32 [B] of parameters and a batch, given the `model`.
    context: what is read, and where it is computed.

  Attributes:
    reduce: the same, with its model.
    model: what is evaluated.
  """

  def __init__(self, ids: np.ndarray, reduce: Reduce, context: api.Context):
    self._ids = ids
    self._context = context
    self.model = context.model
    self.reduce = functools.partial(reduce, model=context.model)
    self._reduce = jax.jit(
        self.reduce, out_shardings=mesh_lib.replicated(context.mesh)
    )

  def __call__(self, params: Any) -> np.ndarray:
    """Returns the number of each row, float32 [E]."""
    reduced = [
        (slots, self._reduce(params, batch))
        for slots, batch in hosts.moves(self._batches)
    ]
    values = np.empty(len(self._ids), np.float32)
    for slots, numbers in hosts.moves(reduced):
      values[slots] = np.asarray(numbers)[: len(slots)]
    return values

  @functools.cached_property
  def _batches(self) -> list[tuple[np.ndarray, batches.Batch]]:
    """Returns each batch's indices into `ids`, and it on the devices."""
    layout = self.layout()
    slots = self.slots(layout)
    shards = step_lib.batch_shardings(self._context.mesh)
    laid_out = self.lay_out(slots, max(map(len, slots)), layout)
    return [
        (indices, mesh_lib.put(batch, shards))
        for indices, batch in zip(slots, laid_out, strict=True)
    ]

  def layout(self) -> batches.Layouts:
    """Returns a shape in which any `batch_size` of the rows fit."""
    return batches.plan(
        lengths=self._lengths,
        longest=int(self._lengths.max()),
        batch_size=self._context.batch_size,
        shards=mesh_lib.row_shards(self._context.mesh),
        shapes=1,
    )

  def slots(self, layout: batches.Layouts) -> list[np.ndarray]:
    """Returns the indices into `ids` of each batch of a shape."""
    packed = batches.best_fit(self._lengths.tolist(), layout.length)
    (rows,) = layout.rows
    return [
        np.array(sum(packed[i : i + rows], []))
        for i in range(0, len(packed), rows)
    ]

  def lay_out(
      self, slots: Sequence[np.ndarray], size: int, layout: batches.Layouts
  ) -> list[batches.Batch]:
    """Lays out batches of one shape, so that one program serves all.

    Args:
      slots: the indices into `ids` of each batch.
      size: examples of each batch, with empty ones.
      layout: the shape.
    """
    padded = np.full((len(slots), size), batches.NO_EXAMPLE)
    for ids, indices in zip(padded, slots, strict=True):
      ids[: len(indices)] = self._ids[indices]
    store = self._context.store
    return [
        batches.lay_out(batches.look_up(store, ids), layout) for ids in padded
    ]

  @property
  def _lengths(self) -> np.ndarray:
    return self._context.store.lengths[self._ids]


class PackedEvaluator(api.Evaluator):
  """An evaluator by one number a row.

  A population computes the numbers of all its members as one program.

  Attributes:
    packed: computes the numbers.
  """

  packed: Packed

  def __call__(self, params: Any) -> api.Evaluation:
    """Evaluates parameters."""
    return self.judged(self.packed(params))

  @abc.abstractmethod
  def judged(self, values: np.ndarray) -> api.Evaluation:
    """Returns the evaluation, given the number of each row, float32 [E]."""
