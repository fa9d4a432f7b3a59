"""Prompts that share prefixes, laid out to be read once for all of a group.

A row has whole groups: a prefix, and then what follows it in each prompt. The
keys and values of a prompt are gathered from its prefix and its own segment, and
decoding continues as if the prompt had been read alone.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from zsgen.data import store as store_lib
from zsgen.evals import prefixes
from zsgen.models import model as model_lib
from zsgen.train import layouts

# Prefixes are shared if that saves this part of all tokens.
_WORTH = 0.05
# Rows are at most this many times as long as the longest prompt.
_LONGEST = 2

# The groups of each row of a batch.
Batch = Sequence[Sequence[prefixes.Group]]


class Plan(NamedTuple):
  """Batches of prompts, all of one shape.

  Attributes:
    batches: the batches.
    rows: rows of a batch.
    length: tokens of a row.
  """

  batches: list[Batch]
  rows: int
  length: int


def make_plan(prompts: Sequence[np.ndarray], size: int) -> Plan | None:
  """Returns batches of prompts that share prefixes; None if that saves little.

  Args:
    prompts: the tokens of each prompt, int32 [n].
    size: most prompts of a batch.
  """
  lengths = np.array([len(prompt) for prompt in prompts])
  groups = prefixes.find_groups([_row(prompt) for prompt in prompts])
  length = _LONGEST * int(lengths.max())
  groups = [
      part
      for group in prefixes.split_groups(groups, lengths, length)
      for part in _split(group, size)
  ]
  sizes = [group.tokens(lengths) for group in groups]
  if sum(sizes) > (1 - _WORTH) * lengths.sum():
    return None
  length = max(sizes)
  batches = [
      _pack(batch, lengths, length) for batch in _fill(groups, lengths, size)
  ]
  return Plan(batches, max(map(len, batches)), length)


def members(batch: Batch) -> np.ndarray:
  """Returns the indices of the prompts of a batch, int64 [n]."""
  return np.array([i for row in batch for group in row for i in group.members])


def lay_out(
    prompts: Sequence[np.ndarray],
    batch: Batch,
    plan: Plan,
    size: int,
    width: int,
) -> model_lib.SharedPrompts:
  """Lays a batch out in rows.

  Args:
    prompts: the tokens of each prompt of the evaluation.
    batch: its groups.
    plan: has the shape of the rows.
    size: prompts of the result; those beyond the batch's `members` are empty.
    width: slots of a prompt in the cache.
  """
  tokens, positions = np.zeros((2, plan.rows, plan.length), np.int32)
  spans = np.zeros((plan.rows, plan.length, 3), np.int32)
  spans[..., 0] = np.arange(plan.length)  # Padding attends to itself.
  slots, number = np.zeros((size, width), np.int32), 0
  for row, groups in enumerate(batch):
    end = 0
    for prefix, indices in groups:
      first, end = end, end + prefix
      tokens[row, first:end] = prompts[indices[0]][:prefix]
      positions[row, first:end] = np.arange(prefix)
      spans[row, first:end] = first, first, first
      shared = np.arange(first, end)
      for index in indices:
        rest = prompts[index][prefix:]
        begin, end = end, end + len(rest)
        tokens[row, begin:end] = rest
        positions[row, begin:end] = prefix + np.arange(len(rest))
        spans[row, begin:end] = begin, first, first + prefix
        line = np.append(shared, np.arange(begin, end)) + row * plan.length
        slots[number, width - len(line) :] = line
        number += 1
  return model_lib.SharedPrompts(tokens, positions, spans, slots)


def _row(prompt: np.ndarray) -> store_lib.TokenRow:
  """Returns a prompt as a row in which the loss begins after it."""
  mask = np.zeros(len(prompt) + 1, np.uint8)
  mask[-1] = 1
  return store_lib.TokenRow(np.append(prompt, 0).astype(np.uint32), mask)


def _split(group: prefixes.Group, size: int) -> list[prefixes.Group]:
  """Splits a group into parts of at most `size` members."""
  parts = [
      group.members[i : i + size] for i in range(0, len(group.members), size)
  ]
  return [
      prefixes.Group(group.prefix if len(part) > 1 else 0, part)
      for part in parts
  ]


def _fill(
    groups: Sequence[prefixes.Group], lengths: np.ndarray, size: int
) -> list[list[prefixes.Group]]:
  """Fills batches with whole groups, short prompts first."""

  def longest(group: prefixes.Group) -> int:
    return int(lengths[list(group.members)].max())

  batches, count = [], size
  for group in sorted(groups, key=longest):
    if count + len(group.members) > size:
      batches.append([])
      count = 0
    batches[-1].append(group)
    count += len(group.members)
  return batches


def _pack(
    groups: Sequence[prefixes.Group], lengths: np.ndarray, length: int
) -> Batch:
  """Packs the groups of a batch into rows."""
  sizes = [group.tokens(lengths) for group in groups]
  return [[groups[i] for i in row] for row in layouts.best_fit(sizes, length)]
