"""Finds texts that occur twice in a source, by 8-byte digests.

Among 10 million texts, two different ones share a digest with a probability of
3 in a million.
"""

from collections.abc import Mapping, Sequence
import hashlib
from typing import Any, NamedTuple

import numpy as np

from zsgen.data import suite

# The most tasks to list.
_MAX_TASKS = 5


class Digests(NamedTuple):
  """The digests of every row of a source; 0 if a row is in no task."""

  inputs: np.ndarray  # uint64
  prompts: np.ndarray  # uint64
  wholes: np.ndarray  # uint64


# The digest of a row that is in no task.
NO_DIGEST = bytes(8)


def digest(*texts: str) -> bytes:
  """Returns 8 bytes that differ where the texts do."""
  return hashlib.blake2b(_framed(texts), digest_size=8).digest()


def _framed(texts: Sequence[str]) -> bytes:
  """Returns the texts with their lengths: ("ab", "c") is not ("a", "bc")."""
  return "".join([f"{len(text)}:{text}" for text in texts]).encode()


def digests_of(example: suite.Example) -> tuple[bytes, bytes, bytes]:
  """Returns digests of an example's input, of its prompt and of all its text.

  The prompt is definition and input; the text continues with the first answer,
  or is all turns. A missing input is replaced by the prompt, a missing prompt
  by the text.
  """
  # Each text is hashed once: the full text continues the prompt's hash.
  mixed = hashlib.blake2b(_framed((example.input,)), digest_size=8)
  question = prompt = mixed.digest() if example.input else b""
  mixed.update(_framed((example.definition,)))
  if example.definition:
    prompt = mixed.digest()
  if example.turns:
    full_text = digest(
        *(part for turn in example.turns for part in _parts(turn))
    )
  else:
    mixed.update(_framed(example.targets[:1]))
    full_text = mixed.digest()
  return question or prompt or full_text, prompt or full_text, full_text


def as_numbers(digests: bytearray) -> np.ndarray:
  """Returns digests, one after another in bytes, as uint64 [n]."""
  return np.frombuffer(bytes(digests), "<u8")


def _parts(turn: suite.Turn) -> Sequence[str]:
  """Returns the parts that identify a turn."""
  return turn[:2] if turn.is_trained else (*turn[:2], "not trained on")


def repeated(digests: np.ndarray) -> np.ndarray:
  """Returns which digests came before, bool [n]."""
  is_repeated = np.ones(len(digests), bool)
  is_repeated[np.unique(digests, return_index=True)[1]] = False
  return is_repeated


def distinct(
    rows: Mapping[str, np.ndarray], wholes: np.ndarray
) -> tuple[dict[str, np.ndarray], int]:
  """Leaves out rows whose text came before, in any of the tasks.

  Args:
    rows: row numbers of each task.
    wholes: digests of all rows.

  Returns:
    The remaining rows, and how many are left out.
  """
  is_repeated = repeated(wholes[_concatenate(rows)])
  remaining, first = {}, 0
  for task, numbers in rows.items():
    remaining[task] = numbers[~is_repeated[first : first + len(numbers)]]
    first += len(numbers)
  return remaining, int(is_repeated.sum())


def verbatim(
    selected: Mapping[str, Mapping[str, np.ndarray]], digests: Digests
) -> dict[str, Any]:
  """Counts held-out examples whose question is in training.

  Args:
    selected: row numbers of each task of each split.
    digests: of all rows.

  Returns:
    `inputs`: those whose input is a training input, and `tasks`: how many of
    each of the first tasks that have any; `prompts`: those whose definition
    is the same, too.
  """
  training = _concatenate(selected[suite.TRAIN])
  heldout = {
      task: numbers
      for split, tasks in selected.items()
      for task, numbers in tasks.items()
      if split != suite.TRAIN
  }
  inputs = _count_hits(heldout, training, digests.inputs)
  prompts = _count_hits(heldout, training, digests.prompts)
  return {
      "inputs": sum(inputs.values()),
      "prompts": sum(prompts.values()),
      "tasks": dict(list(inputs.items())[:_MAX_TASKS]),
  }


def _count_hits(
    heldout: Mapping[str, np.ndarray], training: np.ndarray, digests: np.ndarray
) -> dict[str, int]:
  """Returns how many rows of each task have a training row's digest."""
  hits = np.isin(digests[_concatenate(heldout)], digests[training])
  borders = np.cumsum([len(numbers) for numbers in heldout.values()])[:-1]
  counts = zip(heldout, np.split(hits, borders), strict=True)
  return {task: int(hit.sum()) for task, hit in counts if hit.any()}


def _concatenate(rows: Mapping[str, np.ndarray]) -> np.ndarray:
  """Returns the rows of all tasks, one task after another."""
  return np.concatenate([np.zeros(0, np.int64), *rows.values()])
