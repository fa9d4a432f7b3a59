"""Rows of a store, laid out once and kept on the devices."""

from collections.abc import Callable
import functools
from typing import Any, NamedTuple

import jax
import numpy as np

from zsgen import mesh as mesh_lib
from zsgen.data import store as store_lib
from zsgen.models import model as model_lib
from zsgen.training import batches
from zsgen.training import step as step_lib

# Of parameters and a batch, one float32 a slot: [B].
Reduce = Callable[..., jax.Array]


class Place(NamedTuple):
  """What an evaluation reads, and where it is computed.

  Attributes:
    store: where the rows are.
    model: what is evaluated.
    mesh: where.
    batch_size: examples whose rows the devices hold at once; as in training.
  """

  store: store_lib.Store
  model: model_lib.Model
  mesh: jax.sharding.Mesh
  batch_size: int


class Packed:
  """One number a row, for any parameters.

  The shapes depend on the rows, the batch size and the mesh only: an
  evaluation gives the same bytes under every order, and under none.

  Args:
    ids: rows of the store, int64 [E].
    reduce: makes float32 [B] of parameters and a batch, given the `model`.
    place: what is read, and where it is computed.
  """

  def __init__(self, ids: np.ndarray, reduce: Reduce, place: Place):
    self._ids = ids
    self._place = place
    self._reduce = jax.jit(
        functools.partial(reduce, model=place.model),
        out_shardings=mesh_lib.replicated(place.mesh),
    )

  def __call__(self, params: Any) -> np.ndarray:
    """The number of each row, float32 [E]."""
    found = [
        (slots, self._reduce(params, batch)) for slots, batch in self._batches
    ]
    values = np.empty(len(self._ids), np.float32)
    for slots, each in found:
      values[slots] = np.asarray(each)[: len(slots)]
    return values

  @functools.cached_property
  def _batches(self) -> list[tuple[np.ndarray, batches.Batch]]:
    """Batches on the devices, and the places of their rows in `ids`."""
    store, mesh = self._place.store, self._place.mesh
    layouts = self._layouts()
    packed = batches.best_fit(self._lengths.tolist(), layouts.length)
    (rows,) = layouts.rows
    slots = [
        np.array(sum(packed[i : i + rows], []))
        for i in range(0, len(packed), rows)
    ]
    # Padded to one number, so that one program serves all.
    padded = np.full((len(slots), max(map(len, slots))), batches.NO_EXAMPLE)
    for each, taken in zip(padded, slots, strict=True):
      each[: len(taken)] = self._ids[taken]
    shards = step_lib.batch_shardings(mesh)
    return [
        (
            taken,
            jax.device_put(
                batches.lay_out(batches.look_up(store, each), layouts), shards
            ),
        )
        for taken, each in zip(slots, padded, strict=True)
    ]

  @property
  def _lengths(self) -> np.ndarray:
    return self._place.store.lengths[self._ids]

  def _layouts(self) -> batches.Layouts:
    """One shape, in which any `batch_size` of the rows one by one fit."""
    return batches.plan(
        lengths=self._lengths,
        longest=int(self._lengths.max()),
        batch_size=self._place.batch_size,
        shards=mesh_lib.row_shards(self._place.mesh),
        shapes=1,
    )
