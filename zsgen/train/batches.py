"""batch(step): which examples a step consumes, and their layout in rows.

`batch(step)` is `order[step * B:(step + 1) * B]`, whatever the machine. Inside
a step the examples are packed into rows of segments; the layout may depend on
the mesh, the ids of a step never.
"""

import bisect
from collections.abc import Callable, Sequence
import math
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from zsgen.core import errors
from zsgen.data import store as store_lib

# The id of a slot that is empty: the last batch is padded with it.
NO_EXAMPLE = -1
NO_ROW = store_lib.TokenRow(np.zeros(0, np.uint32), np.zeros(0, np.uint8))
# Row lengths are multiples of this, in tokens.
LENGTH_STEP = 32


class Examples(NamedTuple):
  """What one step consumes."""

  ids: np.ndarray  # int64 [B], NO_EXAMPLE where there is none
  rows: list[store_lib.TokenRow]  # B rows; empty where there is no example


# NumPy's arrays on the host, JAX's on the devices, or their shardings.
Leaf = TypeVar("Leaf")


class Batch(NamedTuple, Generic[Leaf]):
  """The arrays that the device program takes.

  R rows of T tokens hold the segments of B examples.
  """

  tokens: Leaf  # int32 [R, T]
  positions: Leaf  # int32 [R, T], 0 at the start of each segment
  segments: Leaf  # int32 [R, T], 1 + slot of the example; 0 is padding
  mask: Leaf  # float32 [R, T], 1 on loss tokens
  ids: Leaf  # int32 [B]
  lengths: Leaf  # int32 [B], tokens of each example


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


def store_feed(
    store: store_lib.Store, ids: np.ndarray, batch_size: int
) -> Feed:
  """Returns a feed that reads the store: a pure function of the step."""

  def feed(step: int) -> Examples:
    return look_up(store, ids_of(ids, batch_size, step))

  return feed


def look_up(store: store_lib.Store, ids: np.ndarray) -> Examples:
  """Returns the rows of the ids, with an empty row for NO_EXAMPLE."""
  rows = [NO_ROW if i == NO_EXAMPLE else store.row(i) for i in ids]
  return Examples(ids, rows)


def best_fit(lengths: Sequence[int], capacity: int) -> list[list[int]]:
  """Packs examples into rows: longest first, into the fullest row that fits.

  Args:
    lengths: tokens of each example, at most `capacity`; 0 is not placed.
    capacity: tokens of a row.

  Returns:
    For each row the examples in it. Ties go to the lowest index.
  """
  rows: list[list[int]] = []
  # Free tokens of each row, and its number; ascending.
  free: list[tuple[int, int]] = []
  for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
    if not lengths[i]:
      continue
    index = bisect.bisect_left(free, (lengths[i], 0))
    if index < len(free):
      room, row = free.pop(index)
    else:
      room, row = capacity, len(rows)
      rows.append([])
    rows[row].append(i)
    bisect.insort(free, (room - lengths[i], row))
  return rows


class Layouts(NamedTuple):
  """The shapes that a run compiles: [rows, length] for each of `rows`.

  Attributes:
    rows: ascending.
    length: tokens of a row.
    shares: of the steps that each shape is for; () where it is not known.
    padding: share of all slots that hold no token.
  """

  rows: tuple[int, ...]
  length: int
  shares: tuple[float, ...] = ()
  padding: float = 0.0

  def rows_for(self, needed: int) -> int:
    """Returns the smallest number of rows that holds `needed` rows."""
    return min(rows for rows in self.rows if rows >= needed)

  def describe(self) -> str:
    """Describes the shapes and, if known, their shares and the padding."""
    shapes = [f"{rows} x {self.length:,} tokens" for rows in self.rows]
    if self.shares:
      shapes = [
          f"{shape} ({share:.0%} of steps)"
          for shape, share in zip(shapes, self.shares, strict=True)
      ]
    count = len(self.rows)
    line = f"{' and '.join(shapes)}: {count} program{'s' * (count > 1)}"
    return f"{line}; {self.padding:.0%} padding" if self.shares else line


def plan(
    lengths: np.ndarray, longest: int, batch_size: int, shards: int, shapes: int
) -> Layouts:
  """Chooses the shapes for a whole order beforehand: it is known.

  Args:
    lengths: tokens of each example of the order, [n].
    longest: tokens of the longest example of order and evaluations.
    batch_size: examples of a step.
    shards: devices that rows are split over; every shape is a multiple.
    shapes: how many shapes may be compiled, at the most.

  Returns:
    Layouts whose row counts are quantiles of what the steps need.
  """
  length = _round_up(longest, LENGTH_STEP)
  needed = np.sort(
      [
          len(best_fit(lengths[i : i + batch_size].tolist(), length))
          for i in range(0, len(lengths), batch_size)
      ]
  )
  quantiles = [
      needed[math.ceil(len(needed) * k / shapes) - 1]
      for k in range(1, shapes + 1)
  ]
  rows = sorted({_round_up(int(rows), shards) for rows in quantiles})
  # The first shape that holds a step is its own.
  used = np.bincount(np.searchsorted(rows, needed), minlength=len(rows))
  return Layouts(
      rows=tuple(rows),
      length=length,
      shares=tuple((used / len(needed)).tolist()),
      padding=1 - int(lengths.sum()) / (int(used @ rows) * length),
  )


def lay_out(examples: Examples, layouts: Layouts) -> Batch[np.ndarray]:
  """Packs the examples of a step into rows.

  Raises:
    InputError: an example is longer than a row.
  """
  lengths = np.array([len(row.tokens) for row in examples.rows], np.int32)
  if lengths.max(initial=0) > layouts.length:
    raise errors.InputError(
        f"example {examples.ids[lengths.argmax()]} has {lengths.max()} tokens,"
        f" more than the {layouts.length} of a row: the order and the store"
        " do not belong together."
    )
  packed = best_fit(lengths.tolist(), layouts.length)
  shape = (layouts.rows_for(len(packed)), layouts.length)
  batch = Batch(
      tokens=np.zeros(shape, np.int32),
      positions=np.zeros(shape, np.int32),
      segments=np.zeros(shape, np.int32),
      mask=np.zeros(shape, np.float32),
      ids=examples.ids.astype(np.int32),
      lengths=lengths,
  )
  for row, members in enumerate(packed):
    begin = 0
    for slot in members:
      end = begin + lengths[slot]
      batch.tokens[row, begin:end] = examples.rows[slot].tokens
      batch.mask[row, begin:end] = examples.rows[slot].mask
      batch.positions[row, begin:end] = np.arange(end - begin)
      batch.segments[row, begin:end] = slot + 1
      begin = end
  return batch


def _round_up(value: int, multiple: int) -> int:
  return -(-value // multiple) * multiple
