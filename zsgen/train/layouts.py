"""How the examples of a step are laid out in rows, and in which shape.

The shapes are chosen beforehand for the whole order, so that few programs are
compiled. They depend on the order, the options and the mesh only.
"""

import bisect
from collections.abc import Sequence
import functools
import math
from typing import Any, NamedTuple

import jax
import numpy as np

from zsgen.core import errors
from zsgen.core import mesh as mesh_lib
from zsgen.data import store as store_lib
from zsgen.train import batches, loss_slots

# Row lengths are multiples of this, in tokens, and of the position shards.
LENGTH_STEP = 32
# Positions with loss of a row group are multiples of this.
LOSS_STEP = 16


class Split(NamedTuple):
  """How the rows of a batch are split into row groups.

  Each shard has consecutive rows. In a shard, rows r, r + parts, … are those of
  micro-batch r. The rows of a shard in a micro-batch are a row group. The
  devices that split its positions compute equal shares of its logits.

  Attributes:
    shards: groups of devices that rows are split over.
    parts: micro-batches.
    context: devices that the positions of a row are split over.
  """

  shards: int = 1
  parts: int = 1
  context: int = 1

  @property
  def groups(self) -> int:
    """The number of shares of all row groups."""
    return self.shards * self.parts * self.context

  @property
  def row_step(self) -> int:
    """The number of row groups, of which the rows of a batch are a multiple."""
    return self.shards * self.parts

  def group(self, row: Any, rows: int) -> Any:
    """Returns the row group of each of some rows, an integer or an array.

    Args:
      row: the rows.
      rows: the number of all rows.
    """
    shard, index = divmod(row, rows // self.shards)
    return shard * self.parts + index % self.parts

  def share(self, positions: Any) -> Any:
    """Returns the size of the shares of that many positions of a row group."""
    return -(-positions // self.context)

  def round_length(self, length: Any) -> Any:
    """Returns the length of rows of at least `length` tokens, or of each."""
    return round_up(length, math.lcm(LENGTH_STEP, self.context))

  def positions(self, shape: "Shape") -> int:
    """Returns the number of positions of a share of a row group."""
    return shape.rows // self.row_step * (shape.length // self.context)


def split_on(mesh: jax.sharding.Mesh, parts: int = 1) -> Split:
  """Returns how the rows of a batch are split on a mesh.

  Args:
    mesh: the devices.
    parts: micro-batches.
  """
  shards = mesh_lib.row_shards(mesh)
  return Split(shards, parts, mesh_lib.position_shards(mesh))


class Shape(NamedTuple):
  """The shape of a batch, for which one program is compiled.

  Attributes:
    rows: rows of all shards, a multiple of `Split.row_step`.
    length: tokens of a row.
    loss_slots: positions of each share of a row group for which logits are
      computed; at least as many as the share has positions whose next token
      carries loss.
  """

  rows: int
  length: int
  loss_slots: int


class Lengths(NamedTuple):
  """Sizes of the examples of an order, in tokens.

  Attributes:
    tokens: int [n].
    loss: tokens with loss, int [n].
  """

  tokens: np.ndarray
  loss: np.ndarray

  def take(self, examples: Any) -> "Lengths":
    """Returns the sizes of some examples, given their indices or a slice."""
    return Lengths(self.tokens[examples], self.loss[examples])

  def reshape(self, *shape: int) -> "Lengths":
    """Returns the sizes with other axes."""
    return Lengths(self.tokens.reshape(shape), self.loss.reshape(shape))

  def of_step(self, step: int, batch_size: int) -> "Lengths":
    """Returns the sizes of the examples of one step."""
    return self.take(slice(step * batch_size, (step + 1) * batch_size))


def sizes_of(store: store_lib.Store, ids: np.ndarray) -> Lengths:
  """Returns the sizes of examples of a store.

  Args:
    store: the store.
    ids: the examples, int64 [n]; sizes are 0 where there is none.
  """
  is_example = ids != batches.NO_EXAMPLE
  known = np.where(is_example, ids, 0)
  return Lengths(
      np.where(is_example, store.lengths[known], 0),
      np.where(is_example, store.loss_lengths[known], 0),
  )


class Layouts(NamedTuple):
  """The layouts of all steps of an order. Axes: M members, B examples.

  Attributes:
    shapes: the shapes, ascending.
    steps: the index of each step's shape, int64 [steps].
    rows: the row of each example, int32 [M, steps, B].
    split: how the rows are split.
    padding: share of all slots that hold no token.
  """

  shapes: tuple[Shape, ...]
  steps: np.ndarray
  rows: np.ndarray
  split: Split
  padding: float

  def shape(self, step: int) -> Shape:
    """Returns the shape of a step."""
    return self.shapes[self.steps[step]]

  @property
  def largest(self) -> Shape:
    """The largest sizes of all shapes."""
    return Shape(*map(max, zip(*self.shapes, strict=True)))

  @property
  def logits(self) -> float:
    """Share of all slots for which logits are computed."""
    shapes = [self.shapes[index] for index in self.steps]
    computed = self.split.groups * sum(shape.loss_slots for shape in shapes)
    return computed / sum(shape.rows * shape.length for shape in shapes)

  def needed(self, first: int) -> list[Shape]:
    """Returns the shapes of the steps from `first` on, in order of need."""
    _, begins = np.unique(self.steps[first:], return_index=True)
    return [self.shape(first + begin) for begin in sorted(begins.tolist())]

  def describe(self) -> str:
    """Describes padding, logits, shapes and their shares of the steps."""
    used = np.bincount(self.steps, minlength=len(self.shapes)).tolist()
    shapes = [
        f"{shape.rows} x {shape.length:,} ({count / len(self.steps):.0%})"
        for shape, count in zip(self.shapes, used, strict=True)
    ]
    count = len(shapes)
    return (
        f"{self.padding:.0%} padding, logits at {self.logits:.0%} of positions,"
        f" {count} program{'s' * (count > 1)}; rows x tokens (share of steps):"
        f" {', '.join(shapes)}"
    )


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


def largest(
    tokens: np.ndarray, batch_size: int, split: Split
) -> tuple[int, int]:
  """Returns the size in which any `batch_size` successive examples fit.

  Args:
    tokens: tokens of each example, int [n].
    batch_size: examples of a batch.
    split: how the rows are split.

  Returns:
    Rows, and tokens of a row.
  """
  length = int(split.round_length(int(tokens.max())))
  rows = max(
      len(best_fit(tokens[i : i + batch_size].tolist(), length))
      for i in range(0, len(tokens), batch_size)
  )
  return int(round_up(rows, split.row_step)), length


def loss_positions(
    lengths: Lengths, rows: int, length: int, split: Split
) -> int:
  """Returns the most positions with loss of a share of one step."""
  counts = np.zeros(split.row_step, np.int64)
  packed = best_fit(lengths.tokens.tolist(), length)
  for row, members in enumerate(packed):
    counts[split.group(row, rows)] += lengths.loss[members].sum()
  return int(split.share(counts.max()))


def shape_for(rows: int, length: int, split: Split, loss: int) -> Shape:
  """Returns the shape for shares of at most `loss` positions with loss."""
  # A few positions more do not cost much, and shapes coincide more often.
  shape = Shape(rows, length, round_up(max(loss, 1), LOSS_STEP))
  slots = min(shape.loss_slots, split.positions(shape))
  return shape._replace(loss_slots=slots)


def lay_out(
    examples: batches.Examples,
    shape: Shape,
    split: Split,
    rows: np.ndarray | None = None,
) -> batches.Batch[np.ndarray]:
  """Lays the examples of a step out in rows.

  Args:
    examples: what the step consumes.
    shape: the shape that is planned for the step.
    split: how the rows are split.
    rows: the row of each example, int [B]; None packs them by `best_fit`.

  Raises:
    InputError: the examples do not fit.
  """
  # Python's integers are faster than NumPy's for so few examples.
  lengths = [len(row.tokens) for row in examples.rows]
  packed = _members(lengths, shape, rows)
  _check_fit(examples, lengths, packed, shape)
  size = (shape.rows, shape.length)
  batch = batches.Batch[np.ndarray](
      tokens=np.zeros(size, np.int32),
      positions=np.zeros(size, np.int32),
      segments=np.zeros(size, np.int32),
      mask=np.zeros(size, np.float32),
      loss_positions=np.full(
          (split.groups, shape.loss_slots), loss_slots.EMPTY, np.int32
      ),
      ids=examples.ids.astype(np.int32),
      lengths=np.array(lengths, np.int32),
  )
  positions = _positions(shape.length)
  for row, members in enumerate(packed):
    begin = 0
    for slot in members:
      end = begin + lengths[slot]
      batch.tokens[row, begin:end] = examples.rows[slot].tokens
      batch.mask[row, begin:end] = examples.rows[slot].mask
      batch.positions[row, begin:end] = positions[: lengths[slot]]
      batch.segments[row, begin:end] = slot + 1
      begin = end
  loss_slots.fill(
      *(batch.loss_positions, batch.mask, batch.positions),
      split.shards,
      split.context,
  )
  return batch


def batch_shapes(
    shape: Shape, split: Split, batch_size: int
) -> batches.Batch[jax.ShapeDtypeStruct]:
  """Returns the shapes of the arrays of a batch."""
  tokens = jax.ShapeDtypeStruct((shape.rows, shape.length), np.int32)
  examples = jax.ShapeDtypeStruct((batch_size,), np.int32)
  return batches.Batch[jax.ShapeDtypeStruct](
      tokens=tokens,
      positions=tokens,
      segments=tokens,
      mask=jax.ShapeDtypeStruct(tokens.shape, np.float32),
      loss_positions=jax.ShapeDtypeStruct(
          (split.groups, shape.loss_slots), np.int32
      ),
      ids=examples,
      lengths=examples,
  )


@functools.cache
def _positions(length: int) -> np.ndarray:
  """Returns the positions of the longest segment, int32 [length]."""
  positions = np.arange(length, dtype=np.int32)
  positions.flags.writeable = False
  return positions


def _members(
    lengths: Sequence[int], shape: Shape, rows: np.ndarray | None
) -> list[list[int]]:
  """Returns the examples of each row."""
  if rows is None:
    return best_fit(lengths, shape.length)
  packed: list[list[int]] = [[] for _ in range(shape.rows)]
  for slot, row in enumerate(rows.tolist()):
    if lengths[slot]:
      packed[row].append(slot)
  return packed


def _check_fit(
    examples: batches.Examples,
    lengths: Sequence[int],
    packed: list[list[int]],
    shape: Shape,
) -> None:
  """Raises InputError for rows that are longer than planned, or too many."""
  longest = max(lengths, default=0)
  if longest > shape.length:
    raise errors.InputError(
        f"example {examples.ids[lengths.index(longest)]} has {longest} tokens,"
        f" more than the {shape.length} of a row: the order and the store"
        " do not belong together."
    )
  longest = max((sum(lengths[i] for i in row) for row in packed), default=0)
  if longest > shape.length or len(packed) > shape.rows:
    raise errors.InputError(
        f"{len(packed)} rows of up to {longest} tokens do not fit the planned"
        f" {shape.rows} rows of {shape.length}: the order and the store do not"
        " belong together."
    )


def check_context(split: Split, longest: int) -> None:
  """Raises InputError if rows have fewer positions than devices share them.

  Args:
    split: how the rows are split.
    longest: tokens of the longest example.
  """
  length = round_up(longest, LENGTH_STEP)
  if split.context > length:
    raise errors.InputError(
        f"config.machine.mesh.context is {split.context}, but the longest"
        f" example has {longest} tokens, and a row of {length} positions cannot"
        " be split further. Lower context, and raise fsdp or data."
    )


def round_up(value: Any, multiple: int) -> Any:
  """Returns the smallest multiple that is at least the value, or each value."""
  return -(-value // multiple) * multiple
