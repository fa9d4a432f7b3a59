"""Rows of a store, laid out once and kept on the devices."""

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
    """The number of each row, float32 [E]."""
    found = [
        (slots, self._reduce(params, batch))
        for slots, batch in hosts.moves(self._batches)
    ]
    values = np.empty(len(self._ids), np.float32)
    for slots, each in hosts.moves(found):
      values[slots] = np.asarray(each)[: len(slots)]
    return values

  @functools.cached_property
  def _batches(self) -> list[tuple[np.ndarray, batches.Batch]]:
    """Places of the rows in `ids` of each batch, and it on the devices."""
    layout = self.layout()
    slots = self.slots(layout)
    shards = step_lib.batch_shardings(self._context.mesh)
    laid = self.laid(slots, max(map(len, slots)), layout)
    return [
        (taken, mesh_lib.put(batch, shards))
        for taken, batch in zip(slots, laid, strict=True)
    ]

  def layout(self) -> batches.Layouts:
    """One shape, in which any `batch_size` of the rows one by one fit."""
    return batches.plan(
        lengths=self._lengths,
        longest=int(self._lengths.max()),
        batch_size=self._context.batch_size,
        shards=mesh_lib.row_shards(self._context.mesh),
        shapes=1,
    )

  def slots(self, layout: batches.Layouts) -> list[np.ndarray]:
    """Places in `ids` of what stands in each batch of a shape."""
    packed = batches.best_fit(self._lengths.tolist(), layout.length)
    (rows,) = layout.rows
    return [
        np.array(sum(packed[i : i + rows], []))
        for i in range(0, len(packed), rows)
    ]

  def laid(
      self, slots: Sequence[np.ndarray], most: int, layout: batches.Layouts
  ) -> list[batches.Batch]:
    """Batches of one shape, so that one program serves all.

    Args:
      slots: of each batch.
      most: examples of each, counting those that are not there.
      layout: the shape.
    """
    padded = np.full((len(slots), most), batches.NO_EXAMPLE)
    for each, taken in zip(padded, slots, strict=True):
      each[: len(taken)] = self._ids[taken]
    store = self._context.store
    return [
        batches.lay_out(batches.look_up(store, each), layout) for each in padded
    ]

  @property
  def _lengths(self) -> np.ndarray:
    return self._context.store.lengths[self._ids]
