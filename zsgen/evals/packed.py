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
from zsgen.train import batches, layouts
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
    rows, length = self.size
    slots = self.slots(rows, length)
    shape = layouts.shape_for(
        rows, length, self.split, self.loss(slots, rows, length)
    )
    shards = step_lib.batch_shardings(self._context.mesh)
    laid_out = self.lay_out(slots, max(map(len, slots)), shape)
    return [
        (indices, mesh_lib.put(batch, shards))
        for indices, batch in zip(slots, laid_out, strict=True)
    ]

  @property
  def split(self) -> layouts.Split:
    """How the rows are split."""
    return layouts.Split(mesh_lib.row_shards(self._context.mesh))

  @functools.cached_property
  def size(self) -> tuple[int, int]:
    """Rows, and tokens of a row, in which any `batch_size` of the rows fit."""
    size = self._context.batch_size
    return layouts.largest(self._lengths.tokens, size, self.split)

  def slots(self, rows: int, length: int) -> list[np.ndarray]:
    """Returns the indices into `ids` of each batch of `rows` rows."""
    packed = layouts.best_fit(self._lengths.tokens.tolist(), length)
    return [
        np.array(sum(packed[i : i + rows], []))
        for i in range(0, len(packed), rows)
    ]

  def loss(self, slots: Sequence[np.ndarray], rows: int, length: int) -> int:
    """Returns the most positions with loss of a row group of the batches."""
    return max(
        layouts.loss_positions(
            layouts.Lengths(*(sizes[indices] for sizes in self._lengths)),
            rows,
            length,
            self.split,
        )
        for indices in slots
    )

  def lay_out(
      self, slots: Sequence[np.ndarray], size: int, shape: layouts.Shape
  ) -> list[batches.Batch]:
    """Lays out batches of one shape, so that one program serves all.

    Args:
      slots: the indices into `ids` of each batch.
      size: examples of each batch, with empty ones.
      shape: the shape.
    """
    padded = np.full((len(slots), size), batches.NO_EXAMPLE)
    for ids, indices in zip(padded, slots, strict=True):
      ids[: len(indices)] = self._ids[indices]
    store = self._context.store
    return [
        layouts.lay_out(batches.look_up(store, ids), shape, self.split)
        for ids in padded
    ]

  @property
  def _lengths(self) -> layouts.Lengths:
    store = self._context.store
    return layouts.Lengths(
        store.lengths[self._ids], store.loss_lengths[self._ids]
    )


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
