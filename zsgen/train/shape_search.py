"""Chooses a few shapes in which the steps of an order cost the least.

The cost of a step in a shape of R rows of L tokens, in G row groups with K
positions with loss, is the FLOPs of all its slots, padding counted:

  R·L·slot + R·pairs(L)·pair / 2 + G·K·logits

`slot` is those of the kernels of all blocks at one position, `pair` those of
attention for a query and a key, `logits` those of the head at one position.
They count forward and backward pass as in `flops`. Pairs count half: a slot
costs more than its products. On Natural Instructions with the embedded base,
whose attention is most of the work, that saves 1.6 of 14.7 points of padding
for 0.5% more FLOPs; counting no pairs saves 8 points for 34% more.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from zsgen.train import flops, layouts, packing

# Candidates: row counts, and lengths and positions with loss of each of them.
_ROW_COUNTS, _LENGTHS, _LOSSES = 16, 48, 3
# A row is at most this many times as long as the longest example: attention
# needs memory for it.
_LONGEST = 2
# A program must save this share of the cost, and as much as this many steps.
_WORTH_SHARE, _WORTH_STEPS = 0.005, 1
_ROUNDS = 8
_NO_FIT = np.inf


class Cost(NamedTuple):
  """FLOPs by what they are proportional to.

  Attributes:
    slot: of a slot, without attention and head.
    pair: of a query and a key in one block.
    blocks: number of blocks of each window; 0: they see all tokens before.
    logits: of the logits of one position.
  """

  slot: float
  pair: float
  blocks: Mapping[int, int]
  logits: float

  def of_shape(self, shape: layouts.Shape, groups: int) -> float:
    """Returns the cost of a step of a shape."""
    rows, length, loss_slots = shape
    pairs = sum(
        count * flops.pairs(np.array([length]), window)
        for window, count in self.blocks.items()
    )
    attention = self.pair * pairs
    head = self.logits * groups * loss_slots
    return rows * (length * self.slot + attention) + head

  def most_expensive(self, planned: layouts.Layouts) -> layouts.Shape:
    """Returns the shape of the most expensive steps."""
    groups = planned.split.groups
    return max(planned.shapes, key=lambda shape: self.of_shape(shape, groups))


# Without a model: slots alone.
SLOTS = Cost(1, 0, {}, 0)


def cost_of(counted: flops.Flops) -> Cost:
  """Returns the cost of a model, given its FLOPs."""
  slot = 6 * counted.trained + 4 * counted.frozen
  return Cost(slot, 12 * counted.width / 2, counted.blocks, counted.head)


class Table(NamedTuple):
  """What steps need, by the number of rows. Axes: C row counts, S steps.

  Attributes:
    rows: the row counts, int [C].
    lengths: tokens of the longest row, int [C, S].
    losses: most positions with loss of a share of a row group, int [C, S].
  """

  rows: np.ndarray
  lengths: np.ndarray
  losses: np.ndarray


def row_counts(tokens: np.ndarray, split: layouts.Split) -> np.ndarray:
  """Returns the numbers of rows that steps may have, int [C], ascending.

  Args:
    tokens: tokens of each example, int [S, B].
    split: how the rows are split.
  """
  step, longest = split.row_step, _LONGEST * int(tokens.max())
  largest_count = max(int((tokens > 0).sum(1).max()), 1)
  least = max(int(tokens.sum(1).min()) // longest, 1)
  last = layouts.round_up(largest_count, step) // step
  first = min(layouts.round_up(least, step) // step, last)
  if last - first < _ROW_COUNTS:
    return step * np.arange(first, last + 1)
  counts = np.geomspace(first, last, _ROW_COUNTS).round().astype(int)
  return step * np.unique(counts)


def tabulate(sizes: layouts.Lengths, split: layouts.Split) -> Table:
  """Packs steps into each number of rows.

  Args:
    sizes: of the examples of each member, each int [M, S, B].
    split: how the rows are split.
  """
  members, steps, examples = sizes.tokens.shape
  flat = sizes.reshape(-1, examples)
  rows = row_counts(flat.tokens, split)
  lengths = np.zeros((len(rows), steps), np.int64)
  losses = np.zeros_like(lengths)
  for i, count in enumerate(rows.tolist()):
    assigned, loads = packing.spread(flat.tokens, count)
    _, group_loss = packing.place_rows(assigned, count, flat.loss, split)
    lengths[i] = loads.max(1).reshape(members, steps).max(0)
    losses[i] = group_loss.max(1).reshape(members, steps).max(0)
  return Table(rows, lengths, losses)


def choose(
    table: Table, limit: int, split: layouts.Split, cost: Cost
) -> list[layouts.Shape]:
  """Returns at most `limit` shapes; each step of the table fits one of them.

  Programs are added one by one, the one that saves the most, as long as it is
  worth its compilation. After each, every program is replaced by whichever
  saves the most beside the remaining. Ties go to the smallest shape.
  """
  shapes = _candidates(table, split)
  costs = _costs(table, shapes, split, cost)
  selection: list[int] = []
  best = _NO_FIT
  while len(selection) < limit:
    added = _improve(costs, [*selection, best_beside(costs, selection)])
    total = float(costs[added].min(0).sum())
    worth = max(_WORTH_SHARE, _WORTH_STEPS / costs.shape[1])
    if best < _NO_FIT and total > (1 - worth) * best:
      break
    selection, best = added, total
  return _shrink(table, [shapes[i] for i in selection], split, cost)


def _candidates(table: Table, split: layouts.Split) -> list[layouts.Shape]:
  """Returns shapes of which each is what some step needs, ascending."""
  longest = split.round_length(_LONGEST * int(table.lengths[-1].max()))
  shapes = set()
  for rows, lengths, losses in zip(*table, strict=True):
    rounded = split.round_length(lengths)
    for length in _quantiles(rounded, _LENGTHS):
      fitting = losses[rounded <= length]
      for loss in _quantiles(fitting, _LOSSES):
        if length <= longest:
          shape = layouts.shape_for(int(rows), int(length), split, int(loss))
          shapes.add(shape)
  # One that holds all steps.
  rows, length = int(table.rows[-1]), int(table.lengths[-1].max())
  length = split.round_length(length)
  loss = int(table.losses[-1].max())
  shapes.add(layouts.shape_for(rows, length, split, loss))
  return sorted(shapes)


def _quantiles(values: np.ndarray, count: int) -> np.ndarray:
  """Returns at most `count` of the values, the largest included, ascending."""
  unique = np.unique(values)
  index = np.linspace(0, len(unique) - 1, min(count, len(unique)))
  by_value = unique[index.round().astype(int)]
  ascending = np.sort(values)
  ranks = np.linspace(0, len(values) - 1, min(count, len(values)))
  by_rank = ascending[ranks.round().astype(int)]
  return np.unique([*by_value, *by_rank, unique[-1]])


def _costs(
    table: Table,
    shapes: Sequence[layouts.Shape],
    split: layouts.Split,
    cost: Cost,
) -> np.ndarray:
  """Returns the cost of each step in each shape, [shapes, S]."""
  counts = {int(rows): i for i, rows in enumerate(table.rows)}
  costs = np.full((len(shapes), table.lengths.shape[1]), _NO_FIT)
  for i, shape in enumerate(shapes):
    row = counts[shape.rows]
    fits = table.lengths[row] <= shape.length
    fits &= table.losses[row] <= shape.loss_slots
    costs[i, fits] = cost.of_shape(shape, split.groups)
  return costs


def best_beside(costs: np.ndarray, selection: Sequence[int]) -> int:
  """Returns the shape that makes the steps cost the least beside remaining.

  As long as there are steps that fit no shape, one that most of them fit.
  """
  if selection:
    costs = np.minimum(costs, costs[selection].min(0))
  misfits = np.isinf(costs).sum(1)
  totals = np.where(np.isinf(costs), 0, costs).sum(1)
  return int(np.lexsort((totals, misfits))[0])


def _improve(costs: np.ndarray, selection: list[int]) -> list[int]:
  """Replaces shapes, one at a time, until none saves anything more."""
  for _ in range(_ROUNDS):
    before = list(selection)
    for i in range(len(selection)):
      remaining = selection[:i] + selection[i + 1 :]
      selection = [
          *selection[:i],
          best_beside(costs, remaining),
          *selection[i + 1 :],
      ]
    if selection == before:
      break
  return sorted(set(selection))


def _shrink(
    table: Table,
    shapes: list[layouts.Shape],
    split: layouts.Split,
    cost: Cost,
) -> list[layouts.Shape]:
  """Makes each shape as small as its steps allow, until none becomes smaller."""
  counts = {int(rows): i for i, rows in enumerate(table.rows)}
  for _ in range(_ROUNDS):
    used = _costs(table, shapes, split, cost).argmin(0)
    smaller = []
    for i in np.unique(used).tolist():
      rows = shapes[i].rows
      length = int(table.lengths[counts[rows]][used == i].max())
      length = split.round_length(length)
      loss = int(table.losses[counts[rows]][used == i].max())
      smaller.append(layouts.shape_for(rows, length, split, loss))
    if smaller == shapes:
      break
    shapes = smaller
  return sorted(set(shapes))
