"""Rows of a store, laid out once and kept on the devices."""

import abc
from collections.abc import Callable
import functools
from typing import Any

import jax
import numpy as np

from zsgen.core import hosts
from zsgen.core import mesh as mesh_lib
from zsgen.evals import api, prefixes
from zsgen.evals import rows as rows_lib
from zsgen.train import batches, layouts
from zsgen.train import step as step_lib

# Of parameters and a batch, float32 values of each slot: [B] or [B, n].
Reduce = Callable[..., jax.Array]


class Packed:
  """One number a row, or several, for any parameters.

  The shapes depend on the rows, the batch size and the mesh only: an
  evaluation gives the same bytes under every order, and under none.

  Args:
    ids: rows of the store, int64 [E].
    reduce: makes float32 [B] or [B, n] of parameters and a batch, given the
      `model`.
    context: what is read, and where it is computed.
    share: whether rows that begin with the same tokens share them.

  Attributes:
    reduce: the same, with its model.
    model: what is evaluated.
  """

  def __init__(
      self,
      ids: np.ndarray,
      reduce: Reduce,
      context: api.Context,
      share: bool = True,
  ):
    self._ids = ids
    self._share = share
    self._context = context
    self.model = context.model
    self.reduce = functools.partial(reduce, model=context.model)
    self._reduce = jax.jit(
        self.reduce, out_shardings=mesh_lib.replicated(context.mesh)
    )

  def __call__(self, params: Any) -> np.ndarray:
    """Returns the numbers of each row, float32 [E] or [E, n]."""
    reduced = [
        (slots, self._reduce(params, batch))
        for slots, batch in hosts.moves(self._batches)
    ]
    rest = reduced[0][1].shape[1:]
    values = np.empty((len(self._ids), *rest), np.float32)
    for slots, numbers in hosts.moves(reduced):
      values[slots] = np.asarray(numbers)[: len(slots)]
    return values

  @functools.cached_property
  def rows(self) -> rows_lib.Rows:
    """How the rows are laid out."""
    return rows_lib.make(self._ids, self._context, self._share)

  @functools.cached_property
  def shared_rows(self) -> rows_lib.SharedRows:
    """How they are laid out if the evaluation is one of a population, in which
    another member shares prefixes.
    """
    if isinstance(self.rows, rows_lib.SharedRows):
      return self.rows
    groups = prefixes.singles(len(self._ids))
    return rows_lib.SharedRows(self._ids, self._context, groups)

  @functools.cached_property
  def _batches(self) -> list[tuple[np.ndarray, batches.Batch[jax.Array]]]:
    """Returns each batch's indices into `ids`, and it on the devices."""
    rows, length = self.rows.size
    slots = self.rows.slots(rows, length)
    loss = self.rows.loss(rows, length)
    shape = layouts.shape_for(rows, length, self.rows.split, loss)
    laid_out = self.rows.lay_out(shape, len(slots), max(map(len, slots)))
    mesh = self._context.mesh
    shards = step_lib.batch_shardings(mesh)
    if isinstance(self.rows, rows_lib.SharedRows):
      shards = shards._replace(spans=mesh_lib.batch_sharding(mesh))
    return [
        (indices, mesh_lib.put(batch, shards))
        for indices, batch in zip(slots, laid_out, strict=True)
    ]


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
