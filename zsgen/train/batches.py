"""batch(step): which examples a step consumes.

`batch(step)` is `order[step * B:(step + 1) * B]`, whatever the machine. Inside
a step the examples are packed into rows of segments (`layouts`); the layout may
depend on the mesh, the ids of a step never.
"""

from collections.abc import Callable
import math
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from zsgen.data import store as store_lib

# The id of a slot that is empty: the last batch is padded with it.
NO_EXAMPLE = -1
NO_ROW = store_lib.TokenRow(np.zeros(0, np.uint32), np.zeros(0, np.uint8))


class Examples(NamedTuple):
  """What one step consumes."""

  ids: np.ndarray  # int64 [B], NO_EXAMPLE where there is none
  rows: list[store_lib.TokenRow]  # B rows; empty where there is no example


# NumPy's arrays on the host, JAX's on the devices, or their shardings.
Leaf = TypeVar("Leaf")


class Batch(NamedTuple, Generic[Leaf]):
  """The arrays that the device program takes.

  R rows of T tokens hold the segments of B examples. Logits are computed at K
  loss slots of each of G row groups (`layouts.Split`).
  """

  tokens: Leaf  # int32 [R, T]
  positions: Leaf  # int32 [R, T], 0 at the start of each segment
  segments: Leaf  # int32 [R, T], 1 + slot of the example; 0 is padding
  mask: Leaf  # float32 [R, T], 1 on loss tokens
  loss_positions: Leaf  # int32 [G, K], see `loss_slots.fill`
  ids: Leaf  # int32 [B]
  lengths: Leaf  # int32 [B], tokens of each example
  # int32 [R, T, 3], what each token attends to in its row, `attention.Spans`;
  # only in evaluations that share prefixes, which are in segment 0.
  spans: Leaf | None = None


Feed = Callable[[int], Examples]


def steps_of(ids: np.ndarray, batch_size: int) -> int:
  """Returns the number of steps that an order of ids [n] takes."""
  return math.ceil(len(ids) / batch_size)


def ids_of(ids: np.ndarray, batch_size: int, step: int) -> np.ndarray:
  """Returns the ids of one step, int64 [B], padded with NO_EXAMPLE."""
  batch = np.full(batch_size, NO_EXAMPLE, np.int64)
  ids_of_step = ids[step * batch_size : (step + 1) * batch_size]
  batch[: len(ids_of_step)] = ids_of_step
  return batch


def table(ids: np.ndarray, batch_size: int) -> np.ndarray:
  """Returns the ids of all steps, int64 [steps, B]; see `ids_of`."""
  padded = np.full(
      (steps_of(ids, batch_size), batch_size), NO_EXAMPLE, np.int64
  )
  padded.flat[: len(ids)] = ids
  return padded


def store_feed(
    store: store_lib.Store, ids: np.ndarray, batch_size: int
) -> Feed:
  """Returns a feed that reads the store: a pure function of the step."""

  def feed(step: int) -> Examples:
    """Returns the examples of a step."""
    return look_up(store, ids_of(ids, batch_size, step))

  return feed


def look_up(store: store_lib.Store, ids: np.ndarray) -> Examples:
  """Returns the rows of the ids, with an empty row for NO_EXAMPLE."""
  rows = [NO_ROW if i == NO_EXAMPLE else store.row(i) for i in ids.tolist()]
  return Examples(ids, rows)
