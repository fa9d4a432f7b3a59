"""Losses of any number of examples, batch by batch, resumed after a kill.

An evaluation in the loop keeps its batches on the devices (`evals.packed`).
Here each batch is laid out when it is computed, and what is computed is written
every few seconds.
"""

from collections.abc import Callable, Iterator
import functools
import pathlib
import time
from typing import Any

import jax
import numpy as np

from zsgen.core import artifacts, hosts
from zsgen.core import mesh as mesh_lib
from zsgen.evals import api
from zsgen.evals import loss as loss_lib
from zsgen.evals import rows as rows_lib
from zsgen.orders.embedders import parts
from zsgen.train import batches, layouts
from zsgen.train import step as step_lib

# Seconds of work that a kill may lose.
_SECONDS = 5.0
# Seconds between two lines of progress.
_REPORTED = 10.0


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
  progress = _Progress(partial, plan, len(ids))
  if progress.batches:
    log(f"scores   continues after {progress.batches:,} batches")
  reduce = jax.jit(
      functools.partial(loss_lib.example_losses, model=context.model),
      out_shardings=mesh_lib.replicated(context.mesh),
  )
  shards = step_lib.batch_shardings(context.mesh)
  reported = time.monotonic()
  for batch in hosts.moves(plan.lay_out(progress.batches)):
    progress.add(np.asarray(reduce(params, mesh_lib.put(batch, shards))))
    if time.monotonic() - reported > _REPORTED:
      reported = time.monotonic()
      log(f"scores   {progress.batches:,} of {len(plan.slots):,} batches")
  return progress.values


class _Progress:
  """The losses of the batches so far, on the disk and in memory.

  Args:
    directory: of the parts, which are `<plan>-<first batch>.losses`.
    plan: the batches.
    size: the number of examples.

  Attributes:
    values: the losses, float32 [n]; NaN where there is none yet.
    batches: the number of batches that are computed.
  """

  def __init__(self, directory: pathlib.Path, plan: Plan, size: int):
    self.values = np.full(size, np.nan, np.float32)
    self.batches = 0
    self._directory = directory
    self._plan = plan
    if hosts.is_first():
      directory.mkdir(parents=True, exist_ok=True)
      while self._read():
        pass
    self.batches = hosts.broadcast("scored batches", self.batches)
    self._written = self.batches
    self._last = time.monotonic()

  def add(self, losses: np.ndarray) -> None:
    """Adds the losses of the next batch, float32 [B]."""
    slots = self._plan.slots[self.batches]
    self.values[slots] = losses[: len(slots)]
    self.batches += 1
    is_last = self.batches == len(self._plan.slots)
    if is_last or time.monotonic() - self._last > _SECONDS:
      self._write()

  def _path(self, first: int) -> pathlib.Path:
    return self._directory / f"{self._plan.digest}-{first:08d}.losses"

  def _indices(self, first: int, end: int) -> np.ndarray:
    return np.concatenate(self._plan.slots[first:end])

  def _write(self) -> None:
    """Writes the batches since the last part."""
    if hosts.is_first():
      losses = self.values[self._indices(self._written, self.batches)]
      end = np.array(self.batches)
      parts.write_arrays(self._path(self._written), losses=losses, end=end)
    self._written = self.batches
    self._last = time.monotonic()

  def _read(self) -> bool:
    """Reads the next part; returns whether there is one that is whole."""
    if self.batches == len(self._plan.slots):
      return False
    arrays = parts.read_arrays(self._path(self.batches))
    if arrays is None:
      return False
    end = int(arrays["end"])
    self.values[self._indices(self.batches, end)] = arrays["losses"]
    self.batches = end
    return True
