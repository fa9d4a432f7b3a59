"""Texts that stand in a source twice, found by 8-byte digests.

Of 10 million texts two different ones share a digest with a chance of 3 in a
million.
"""

from collections.abc import Mapping
import hashlib
from typing import Any, NamedTuple

import numpy as np

from zsgen.data import suite

# Tasks that are named.
_NAMED = 5


class Digests(NamedTuple):
  """Of every row of a source; 0 where a row is in no task."""

  prompts: np.ndarray  # uint64
  wholes: np.ndarray  # uint64


def digest(*texts: str) -> int:
  """64 bits that differ where the texts do."""
  mixed = hashlib.blake2b(digest_size=8)
  for text in texts:
    encoded = text.encode()
    # Lengths first: ("ab", "c") is not ("a", "bc").
    mixed.update(len(encoded).to_bytes(8, "little") + encoded)
  return int.from_bytes(mixed.digest(), "little")


def prompt(example: suite.Example) -> int:
  """Of what is asked: definition and input; of all text if that is empty."""
  if not example.definition and not example.input:
    return whole(example)
  return digest(example.definition, example.input)


def whole(example: suite.Example) -> int:
  """Of definition, input and first answer, or of all turns."""
  if example.turns:
    return digest(*(part for turn in example.turns for part in turn))
  return digest(example.definition, example.input, *example.targets[:1])


def repeated(digests: np.ndarray) -> np.ndarray:
  """Which of them came before: bool, as long as `digests`."""
  again = np.ones(len(digests), bool)
  again[np.unique(digests, return_index=True)[1]] = False
  return again


def distinct(
    rows: Mapping[str, np.ndarray], wholes: np.ndarray
) -> tuple[dict[str, np.ndarray], int]:
  """Leaves out rows whose text came before, in any of the tasks.

  Args:
    rows: row numbers of each task.
    wholes: digests of all rows.

  Returns:
    The rows that stay, and how many do not.
  """
  again = repeated(wholes[_together(rows)])
  kept, first = {}, 0
  for task, numbers in rows.items():
    kept[task] = numbers[~again[first : first + len(numbers)]]
    first += len(numbers)
  return kept, int(again.sum())


def verbatim(
    drawn: Mapping[str, Mapping[str, np.ndarray]], prompts: np.ndarray
) -> dict[str, Any]:
  """Counts held-out examples whose prompt stands in training.

  Args:
    drawn: row numbers of each task of each split.
    prompts: digests of all rows.

  Returns:
    `count`, and `tasks`: the counts of the first tasks that have any.
  """
  known = prompts[_together(drawn[suite.TRAIN])]
  counts = {
      task: int(np.isin(prompts[numbers], known).sum())
      for split, tasks in drawn.items()
      for task, numbers in tasks.items()
      if split != suite.TRAIN
  }
  named = [(task, count) for task, count in counts.items() if count][:_NAMED]
  return {"count": sum(counts.values()), "tasks": dict(named)}


def _together(rows: Mapping[str, np.ndarray]) -> np.ndarray:
  """The rows of all tasks, one task after another."""
  return np.concatenate([np.zeros(0, np.int64), *rows.values()])
