"""Batches whose segments share prefixes."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from zsgen.core import errors
from zsgen.evals import prefixes
from zsgen.train import batches, layouts, loss_slots

Row = Sequence[prefixes.Group]


class _Segment(NamedTuple):
  """A segment of a row.

  Attributes:
    tokens: its tokens, [n].
    mask: 1 on tokens with loss, [n].
    position: the position of its first token.
    number: its number in the batch; 0 for a prefix.
  """

  tokens: np.ndarray
  mask: np.ndarray
  position: int
  number: int


def lay_out(
    examples: batches.Examples,
    rows: Sequence[Row],
    shape: layouts.Shape,
    split: layouts.Split,
) -> batches.Batch[np.ndarray]:
  """Lays groups of examples out in rows.

  Args:
    examples: the members of all groups, in the sequence of rows and groups;
      empty ones may follow.
    rows: the groups of each row.
    shape: the shape.
    split: how rows are split.

  Raises:
    InputError: the members of a group differ in their prefix, or the groups do
      not fit.
  """
  size = (shape.rows, shape.length)
  tokens, positions, segments = np.zeros((3, *size), np.int32)
  mask = np.zeros(size, np.float32)
  spans = np.zeros((*size, 3), np.int32)
  spans[..., 0] = np.arange(shape.length)  # Padding attends to itself.
  slot = 0
  for row, groups in enumerate(rows):
    begin = 0
    for prefix, members in groups:
      prefix_begin = begin
      for segment in _segments(examples, prefix, slot, len(members)):
        end = begin + len(segment.tokens)
        _check_fit(row, end, shape)
        tokens[row, begin:end] = segment.tokens
        mask[row, begin:end] = segment.mask
        positions[row, begin:end] = np.arange(end - begin) + segment.position
        segments[row, begin:end] = segment.number
        prefix_end = prefix_begin + segment.position
        spans[row, begin:end] = begin, prefix_begin, prefix_end
        begin = end
      slot += len(members)
  slots = np.full((split.groups, shape.loss_slots), loss_slots.EMPTY, np.int32)
  loss_slots.fill(slots, mask, positions, split.shards)
  return batches.Batch[np.ndarray](
      tokens=tokens,
      positions=positions,
      segments=segments,
      mask=mask,
      loss_positions=slots,
      ids=examples.ids.astype(np.int32),
      lengths=np.array([len(row.tokens) for row in examples.rows], np.int32),
      spans=spans,
  )


def _segments(
    examples: batches.Examples, prefix: int, first: int, count: int
) -> Iterator[_Segment]:
  """Yields the prefix of a group, if it has one, and what follows it.

  Args:
    examples: the examples of the batch.
    prefix: tokens of the prefix.
    first: the slot of the first member.
    count: number of members.
  """
  if not prefix:
    for slot in range(first, first + count):
      tokens, mask = examples.rows[slot]
      yield _Segment(tokens, mask, 0, slot + 1)
    return
  shared = examples.rows[first].tokens[:prefix]
  yield _Segment(shared, np.zeros(prefix), 0, 0)
  for slot in range(first, first + count):
    tokens, mask = examples.rows[slot]
    if not np.array_equal(tokens[:prefix], shared) or mask[: prefix + 1].any():
      raise errors.InputError(
          f"examples {examples.ids[first]} and {examples.ids[slot]} do not share"
          f" a prompt of {prefix} tokens and one more: the store changed while"
          " it was read. Start again."
      )
    yield _Segment(tokens[prefix:], mask[prefix:], prefix, slot + 1)


def _check_fit(row: int, end: int, shape: layouts.Shape) -> None:
  """Raises InputError if a row, or its number, is not one of the shape."""
  if row >= shape.rows or end > shape.length:
    raise errors.InputError(
        f"row {row} of {end} tokens does not fit {shape.rows} rows of"
        f" {shape.length}: groups and store do not belong together."
    )
