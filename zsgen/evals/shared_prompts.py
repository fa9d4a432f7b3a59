"""Prompts that share prefixes, laid out to be read once for all of a group.

A row has whole groups: a prefix, and then what follows it in each prompt. The
keys and values of a prompt are gathered from its prefix and its own segment,
and decoding continues as if the prompt had been read alone.
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
# Widths of prompts are doubled from this, in tokens: few programs.
_NARROWEST = 64


class Batch(NamedTuple):
  """Prompts that are read together; those of one width have one shape.

  Attributes:
    groups: the groups of each row that has any.
    width: slots of a prompt in the cache.
    rows: rows, of which the last may be empty.
    length: tokens of a row.
  """

  groups: list[list[prefixes.Group]]
  width: int
  rows: int
  length: int


def cache_width(longest: int) -> int:
  """Returns the slots in the cache of prompts of at most `longest` tokens."""
  width = _NARROWEST
  while width < longest:
    width *= 2
  return width


def make_batches(
    prompts: Sequence[np.ndarray], size: int
) -> list[Batch] | None:
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
  if sum(_sizes(groups, lengths)) > (1 - _WORTH) * lengths.sum():
    return None
  by_width: dict[int, list[list[prefixes.Group]]] = {}
  for batch in _fill(groups, lengths, size):
    longest = max(_longest(group, lengths) for group in batch)
    by_width.setdefault(cache_width(longest), []).append(batch)
  return [
      batch
      for width, members_of in by_width.items()
      for batch in _shape(members_of, lengths, width)
  ]


def members(batch: Batch) -> np.ndarray:
  """Returns the indices of the prompts of a batch, int64 [n]."""
  return np.array(
      [i for row in batch.groups for group in row for i in group.members]
  )


def lay_out(
    prompts: Sequence[np.ndarray],
    batch: Batch,
    size: int,
) -> model_lib.SharedPrompts:
  """Lays a batch out in rows.

  Args:
    prompts: the tokens of each prompt of the evaluation.
    batch: the batch.
    size: prompts of the result; those beyond the batch's `members` are empty.
  """
  tokens, positions = np.zeros((2, batch.rows, batch.length), np.int32)
  spans = np.zeros((batch.rows, batch.length, 3), np.int32)
  spans[..., 0] = np.arange(batch.length)  # Padding attends to itself.
  slots, number = np.zeros((size, batch.width), np.int32), 0
  for row, groups in enumerate(batch.groups):
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
        line = np.append(shared, np.arange(begin, end)) + row * batch.length
        slots[number, batch.width - len(line) :] = line
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
  batches, count = [], size
  for group in sorted(groups, key=lambda g: _longest(g, lengths)):
    if count + len(group.members) > size:
      batches.append([])
      count = 0
    batches[-1].append(group)
    count += len(group.members)
  return batches


def _shape(
    batches: Sequence[list[prefixes.Group]], lengths: np.ndarray, width: int
) -> list[Batch]:
  """Packs batches of one width into rows, all of one shape."""
  length = max(max(_sizes(groups, lengths)) for groups in batches)
  packed = [
      [
          [groups[i] for i in row]
          for row in layouts.best_fit(_sizes(groups, lengths), length)
      ]
      for groups in batches
  ]
  rows = max(map(len, packed))
  return [Batch(groups, width, rows, length) for groups in packed]


def _sizes(groups: Sequence[prefixes.Group], lengths: np.ndarray) -> list[int]:
  """Returns the tokens of each group."""
  return [group.tokens(lengths) for group in groups]


def _longest(group: prefixes.Group, lengths: np.ndarray) -> int:
  """Returns the tokens of the longest prompt of a group."""
  return int(lengths[list(group.members)].max())
