"""Choices: each answer to choose from is a row of its own.

The rows of a held-out set's choices come after all others, in the split
`<set>/choices`, under tasks `<task>/choices`, so that no order, curve or view
of held-out tasks meets them. A row differs from its example in the answer
only: prompt, template and truncation are the same by construction.
`choices.npy` says which rows belong together.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from zsgen.core import errors
from zsgen.data import chunks, suite

_SUFFIX = "/choices"
# The id of a row that is not kept.
_DROPPED = -1


def split_of(heldout: str) -> str:
  """Returns the split of a held-out set's choices."""
  return heldout + _SUFFIX


def check_name(heldout: str, sets: Sequence[str]) -> None:
  """Checks that a held-out set may have choices.

  Args:
    heldout: its name.
    sets: the names of all held-out sets.

  Raises:
    InputError: another held-out set has the name of its choices.
  """
  if split_of(heldout) in sets:
    raise errors.InputError(
        f"config.data.heldout: the name {split_of(heldout)!r} is that"
        f" of the choices of {heldout!r}. Take another."
    )


def examples(source: suite.Suite) -> Iterator[suite.Example]:
  """Yields the suite's examples, then their choices in the same sequence.

  Held-out examples with choices stay in memory until all others are read.

  Raises:
    InputError: a held-out set has the name of another one's choices.
  """
  waiting = []
  for example in source.examples():
    if example.choices and example.split != suite.TRAIN:
      waiting.append(example)
    yield example
  for example in waiting:
    check_name(example.split, source.heldout)
    yield from expand(example)


def expand(example: suite.Example) -> Iterator[suite.Example]:
  """Yields the choices of an example as examples."""
  for choice in example.choices:
    yield example._replace(
        task=example.task + _SUFFIX,
        split=split_of(example.split),
        targets=(choice,),
        choices=(),
        right=choice in example.targets,
    )


class Table:
  """Records the held-out rows of a store, and which of them are choices."""

  def __init__(self):
    self._parts: list[pa.Table] = []

  def add(self, table: pa.Table, first: int) -> None:
    """Records a chunk's table; `first` is the id of its first row."""
    is_kept = chunks.is_kept(table)
    # An answer without its end is no answer to be ranked.
    is_whole = ~table["answer_cut"].to_numpy(zero_copy_only=False)
    ids = np.where(is_kept, first + np.cumsum(is_kept) - 1, _DROPPED)
    heldout = pc.call_function("not_equal", [table["split"], suite.TRAIN])
    self._parts.append(
        table.select(("task", "key", "right"))
        .add_column(0, "id", pa.array(ids))
        .add_column(1, "whole", pa.array(is_whole))
        .filter(heldout)
    )

  def array(self) -> np.ndarray:
    """Returns the rows that are choices, ascending, the last of the store.

    Returns:
      int64 [rows, 3]: the id of the example, the position among its choices,
      and 1 where it is right. The id is -1 if any choice was cut or dropped.
    """
    if all(part["right"].null_count == len(part) for part in self._parts):
      return np.zeros((0, 3), np.int64)
    return np.array(self._entries(), np.int64).reshape(-1, 3)

  def _entries(self) -> list[tuple[int, int, bool]]:
    """Returns the rows of `array`."""
    # By task and key: the example's id, and the rows of its choices.
    examples: dict[tuple[str, str], int] = {}
    choices: dict[tuple[str, str], list[tuple[int, bool, bool]]] = {}
    columns = pa.concat_tables(self._parts).to_pydict()
    for row, is_whole, task, key, right in zip(*columns.values(), strict=True):
      if right is None:
        examples[task + _SUFFIX, key] = row
      else:
        choices.setdefault((task, key), []).append((row, is_whole, right))
    entries = []
    for name, candidates in choices.items():
      example = examples[name]
      is_kept = [
          row != _DROPPED and is_whole for row, is_whole, _ in candidates
      ]
      comparable = all(is_kept) and example != _DROPPED
      entries += [
          (example if comparable else _DROPPED, position, right)
          for position, (row, _, right) in enumerate(candidates)
          if row != _DROPPED
      ]
    return entries
