"""Losses of any number of examples, batch by batch, resumed after a kill.

An evaluation in the loop keeps its batches on the devices (`evals.packed`).
Here each batch is laid out when it is computed, and what is computed is written
every few seconds.
"""

from collections.abc import Callable, Iterator
import functools
import pathlib
from typing import Any

import jax
import numpy as np

from zsgen.core import artifacts, hosts
from zsgen.core import mesh as mesh_lib
from zsgen.evals import api
from zsgen.evals import loss as loss_lib
from zsgen.evals import rows as rows_lib
from zsgen.orders.embedders import progress
from zsgen.train import batches, layouts
from zsgen.train import step as step_lib


class Plan:
  """How examples are laid out in batches of one shape.

  Args:
    ids: rows of the store, int64 [n].
    context: what is read, and where it is computed.

  Attributes:
    slots: the indices into `ids` of each batch.
  """

  def __init__(self, ids: np.ndarray, context: api.Context):
    rows = rows_lib.PlainRows(ids, context)
    size = rows.size
    self.slots = rows.slots(*size)
    self._ids = ids
    self._store = context.store
    self._split = rows.split
    self._shape = layouts.shape_for(*size, rows.split, rows.loss(*size))
    self._examples = max(map(len, self.slots))

  @property
  def digest(self) -> str:
    """Ten digits of a hash of the plan; its parts are of no other plan."""
    layout = [*self._shape, *self._split, len(self.slots), self._examples]
    return artifacts.digest(list(map(int, layout)))[:10]

  def lay_out(self, first: int) -> Iterator[batches.Batch[np.ndarray]]:
    """Lays out the batches from number `first` on."""
    for indices in self.slots[first:]:
      ids = np.full(self._examples, batches.NO_EXAMPLE)
      ids[: len(indices)] = self._ids[indices]
      examples = batches.look_up(self._store, ids)
      yield layouts.lay_out(examples, self._shape, self._split)


def compute(
    params: Any,
    ids: np.ndarray,
    context: api.Context,
    partial: pathlib.Path,
    log: Callable[[str], None] = lambda line: None,
) -> np.ndarray:
  """Returns the mean loss over the loss tokens of each example, float32 [n].

  Args:
    params: all parameters, on the mesh.
    ids: rows of the store, int64 [n].
    context: what is read, and where it is computed.
    partial: a directory for what is computed; it survives a kill.
    log: prints a line on the progress.
  """
  plan = Plan(ids, context)
  losses = np.empty(len(ids), np.float32)
  state = progress.Progress(partial, plan.digest, plan.slots, losses)
  reduce = jax.jit(
      functools.partial(loss_lib.example_losses, model=context.model),
      out_shardings=mesh_lib.replicated(context.mesh),
  )
  shards = step_lib.batch_shardings(context.mesh)

  def results(first: int) -> Iterator[jax.Array]:
    """Yields the losses of the batches from number `first` on, float32."""
    for batch in hosts.moves(plan.lay_out(first)):
      yield reduce(params, mesh_lib.put(batch, shards))

  return progress.collect(results, state, log, "scores")
