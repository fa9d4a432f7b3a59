"""Plans the layouts of all steps of an order before training.

The shapes are chosen from a sample of the steps. Then every step is packed, and
each shape becomes as small as its steps allow. A shape is used from a certain
step on, so that programs can be compiled one after the other while the steps
before run. The plan is a function of the order, the options and the mesh.
"""

from collections.abc import Mapping, Sequence
import math
from typing import NamedTuple

import numpy as np

from zsgen.train import batches, layouts, packing, shape_search

# Steps that shapes are chosen from, and the extreme ones among them.
_SAMPLE, _EXTREMES = 256, 4
# Earlier shapes are used again unless that costs more than this, relative to
# shapes that are chosen for the steps: each new one is a program to compile.
_WORTH = 1.05
# Steps between the first uses of two shapes, so that programs are compiled one
# after the other: this share of all steps, but at most so many.
_PACE, _LONGEST_PACE = 0.02, 256


class _Fit(NamedTuple):
  """Steps in a number of rows.

  Attributes:
    rows: the row of each example, int32 [M, S, B].
    length: tokens of the longest row, int64 [S].
    loss: most positions with loss of a share of a row group, int64 [S].
  """

  rows: np.ndarray
  length: np.ndarray
  loss: np.ndarray

  def fits(self, shape: layouts.Shape) -> np.ndarray:
    """Returns which steps fit a shape, bool [S]."""
    return (self.length <= shape.length) & (self.loss <= shape.loss_slots)


def plan(
    orders: Sequence[layouts.Lengths],
    batch_size: int,
    split: layouts.Split,
    limit: int,
    cost: shape_search.Cost = shape_search.SLOTS,
    earlier: Sequence[layouts.Shape] = (),
) -> layouts.Layouts:
  """Chooses the shapes for whole orders, or parts of them, and packs all steps.

  Args:
    orders: the examples of each member's order, of the same number of steps.
    batch_size: examples of a step.
    split: how the rows are split.
    limit: how many shapes may be compiled, at the most.
    cost: what a step costs.
    earlier: shapes of the steps before these, which have programs already.

  Raises:
    InputError: more devices split a row than it has positions.
  """
  steps = _batched(orders, batch_size)
  layouts.check_context(split, int(steps.tokens.max()))
  planned = _choose(steps, split, limit, cost)
  if not earlier:
    return planned
  reused = _reuse(steps, earlier, split, limit, cost)
  most = _WORTH * _total(planned, cost)
  return reused if _total(reused, cost) <= most else planned


def _choose(
    steps: layouts.Lengths,
    split: layouts.Split,
    limit: int,
    cost: shape_search.Cost,
) -> layouts.Layouts:
  """Chooses shapes for steps, and packs them."""
  sample = steps.take(_of(_sample(steps)))
  table = shape_search.tabulate(sample, split)
  shapes = shape_search.choose(table, limit, split, cost)
  shapes.sort(key=lambda shape: cost.of_shape(shape, split.groups))
  first = _first_steps(steps, shapes, split, cost)
  index, rows = _assign(steps, shapes, first, split)
  remaining = np.flatnonzero(index < 0)
  if len(remaining):
    fits, i = _grow(steps.take(_of(remaining)), shapes, split, cost)
    index[remaining], rows[:, remaining] = i, fits.rows
  return _finish(steps, shapes, index, rows, split)


def _reuse(
    steps: layouts.Lengths,
    shapes: Sequence[layouts.Shape],
    split: layouts.Split,
    limit: int,
    cost: shape_search.Cost,
) -> layouts.Layouts:
  """Packs steps into shapes that there are, and chooses shapes for the others."""
  ascending = sorted(
      shapes, key=lambda shape: cost.of_shape(shape, split.groups)
  )
  index, rows = _assign(steps, ascending, [0] * len(ascending), split)
  remaining = np.flatnonzero(index < 0)
  if len(remaining):
    extra = _choose(steps.take(_of(remaining)), split, limit, cost)
    index[remaining] = len(ascending) + extra.steps
    rows[:, remaining] = extra.rows
    ascending += extra.shapes
  return _name_shapes(steps, dict(enumerate(ascending)), index, rows, split)


def _total(planned: layouts.Layouts, cost: shape_search.Cost) -> float:
  """Returns the cost of all steps."""
  costs = [
      cost.of_shape(shape, planned.split.groups) for shape in planned.shapes
  ]
  return float(np.array(costs)[planned.steps].sum())


def _batched(
    orders: Sequence[layouts.Lengths], batch_size: int
) -> layouts.Lengths:
  """Returns the sizes of the examples of steps, each int64 [M, S, B].

  They are 0 where there is no example. Axes: M members, S steps, B examples.
  """
  count = batches.steps_of(orders[0].tokens, batch_size)
  tokens, loss = np.zeros((2, len(orders), count * batch_size), np.int64)
  for member, order in enumerate(orders):
    tokens[member, : len(order.tokens)] = order.tokens
    loss[member, : len(order.loss)] = order.loss
  shape = (len(orders), count, batch_size)
  return layouts.Lengths(tokens, loss).reshape(*shape)


def _of(steps: np.ndarray) -> tuple[slice, np.ndarray]:
  """Returns the index of some steps in arrays [M, S, B]."""
  return slice(None), steps


def _sample(steps: layouts.Lengths) -> np.ndarray:
  """Returns the steps from which shapes are chosen, ascending."""
  count = steps.tokens.shape[1]
  if count <= _SAMPLE:
    return np.arange(count)
  even = np.linspace(0, count - 1, _SAMPLE).round().astype(int)
  sizes = (
      steps.tokens.sum(2).max(0),
      steps.tokens.max((0, 2)),
      steps.loss.sum(2).max(0),
  )
  largest = [np.argsort(-size, kind="stable")[:_EXTREMES] for size in sizes]
  return np.unique(np.concatenate([even, *largest]))


def _pack(
    steps: layouts.Lengths,
    rows: int,
    split: layouts.Split,
    target: int = 0,
) -> _Fit:
  """Packs steps into rows.

  Args:
    steps: the steps.
    rows: the number of rows.
    split: how the rows are split.
    target: see `packing.spread`.
  """
  members, count, examples = steps.tokens.shape
  flat = steps.reshape(-1, examples)
  assigned, loads = packing.spread(flat.tokens, rows, target)
  placed, group_loss = packing.place_rows(assigned, rows, flat.loss, split)
  return _Fit(
      placed.reshape(steps.tokens.shape),
      loads.max(1).reshape(members, count).max(0),
      group_loss.max(1).reshape(members, count).max(0),
  )


def _assign(
    steps: layouts.Lengths,
    shapes: Sequence[layouts.Shape],
    first: Sequence[int],
    split: layouts.Split,
) -> tuple[np.ndarray, np.ndarray]:
  """Packs each step into the first shape that it fits.

  Args:
    steps: the steps.
    shapes: the shapes, the cheapest first.
    first: the step from which on each of them may be used.
    split: how the rows are split.

  Returns:
    The index of each step's shape, int64 [S], -1 if it fits none, and the row
    of each example, int32 [M, S, B].
  """
  longest, total = steps.tokens.max((0, 2)), steps.tokens.sum(2).max(0)
  index = np.full(len(total), -1)
  rows = np.zeros(steps.tokens.shape, np.int32)
  for i, shape in enumerate(shapes):
    may_fit = (longest <= shape.length) & (total <= shape.rows * shape.length)
    may_fit &= (index < 0) & (np.arange(len(index)) >= first[i])
    # Short enough rows are found sooner; the shortest may have less loss.
    for target in (shape.length, 0):
      open_steps = np.flatnonzero(may_fit & (index < 0))
      if not len(open_steps):
        continue
      packed = _pack(steps.take(_of(open_steps)), shape.rows, split, target)
      fits = packed.fits(shape)
      index[open_steps[fits]] = i
      rows[:, open_steps[fits]] = packed.rows[:, fits]
  return index, rows


def _first_steps(
    steps: layouts.Lengths,
    shapes: Sequence[layouts.Shape],
    split: layouts.Split,
    cost: shape_search.Cost,
) -> list[int]:
  """Returns the step from which on each shape may be used.

  One after the other, after the same number of steps. Next is the one that
  saves the most until the one after it; several if a step fits no other.
  """
  count = steps.tokens.shape[1]
  pace = min(math.ceil(_PACE * count), _LONGEST_PACE)
  early = np.arange(min(len(shapes) * pace, count))
  costs = np.full((len(shapes), len(early)), np.inf)
  for i, shape in enumerate(shapes):
    packed = _pack(steps.take(_of(early)), shape.rows, split)
    fits = packed.fits(shape)
    costs[i, fits] = cost.of_shape(shape, split.groups)
  first = [count] * len(shapes)
  available: list[int] = []
  for begin in range(0, len(early), pace):
    window = costs[:, begin : begin + pace]
    while len(available) < len(shapes):
      i = shape_search.best_beside(window, available)
      if i in available:
        break
      available.append(i)
      first[i] = begin
      if np.isfinite(window[available].min(0)).all():
        break
  return [min(step, len(early)) for step in first]


def _grow(
    steps: layouts.Lengths,
    shapes: list[layouts.Shape],
    split: layouts.Split,
    cost: shape_search.Cost,
) -> tuple[_Fit, int]:
  """Packs steps that fit no shape into the shape that has to grow the least.

  Returns:
    The steps in the rows of the shape, and its index.
  """
  packed, extra = [], []
  for shape in shapes:
    fit = _pack(steps, shape.rows, split)
    length = max(split.round_length(int(fit.length.max())), shape.length)
    loss = max(int(fit.loss.max()), shape.loss_slots)
    grown = layouts.shape_for(shape.rows, length, split, loss)
    packed.append(fit)
    extra.append(
        cost.of_shape(grown, split.groups) - cost.of_shape(shape, split.groups)
    )
  best = int(np.argmin(extra))
  return packed[best], best


def _finish(
    steps: layouts.Lengths,
    shapes: Sequence[layouts.Shape],
    index: np.ndarray,
    rows: np.ndarray,
    split: layouts.Split,
) -> layouts.Layouts:
  """Makes each shape as small as its steps allow."""
  smallest = {}
  for i in np.unique(index).tolist():
    indices = np.flatnonzero(index == i)
    length, loss = _sizes(
        steps.take(_of(indices)),
        rows[:, indices],
        shapes[i].rows,
        split,
    )
    smallest[i] = layouts.shape_for(shapes[i].rows, length, split, loss)
  return _name_shapes(steps, smallest, index, rows, split)


def _name_shapes(
    steps: layouts.Lengths,
    shapes: Mapping[int, layouts.Shape],
    index: np.ndarray,
    rows: np.ndarray,
    split: layouts.Split,
) -> layouts.Layouts:
  """Returns the layouts of packed steps, whose shapes ascend.

  Args:
    steps: the steps.
    shapes: the shapes that are used, and perhaps more, by their index.
    index: the index of each step's shape, int64 [S].
    rows: the row of each example, int32 [M, S, B].
    split: how the rows are split.
  """
  used = np.unique(index).tolist()
  ascending = sorted({shapes[i] for i in used})
  renamed = np.zeros(max(used) + 1, np.int64)
  for i in used:
    renamed[i] = ascending.index(shapes[i])
  index = renamed[index]
  slots = sum(ascending[i].rows * ascending[i].length for i in index.tolist())
  padding = 1 - float(steps.tokens.sum()) / (len(rows) * slots)
  return layouts.Layouts(tuple(ascending), index, rows, split, padding)


def _sizes(
    steps: layouts.Lengths, rows: np.ndarray, count: int, split: layouts.Split
) -> tuple[int, int]:
  """Returns the length that rows need, and the most loss of a share."""
  examples = rows.shape[-1]
  flat, sizes = rows.reshape(-1, examples), steps.reshape(-1, examples)
  index = np.arange(len(flat))[:, None]
  tokens = np.zeros((len(flat), count), np.int64)
  np.add.at(tokens, (index, flat), sizes.tokens)
  length = int(split.round_length(int(tokens.max())))
  loss = packing.count_loss(flat, count, sizes.loss, split)
  return length, int(loss.max())
