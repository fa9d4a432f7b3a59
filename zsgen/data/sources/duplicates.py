"""Finds texts that occur twice in a source, by hashes of 64 bits.

They are the same in every process, so that parts of a source can be scanned by
several. Among 10 million texts, two different ones share a hash with a
probability of 3 in a million.
"""

from collections.abc import Callable, Mapping
import hashlib
from typing import Any

import numpy as np

from zsgen.data import suite

# The most tasks to list.
_MAX_TASKS = 5


# The digest of a row that is in no task.
NO_DIGEST = 0


def digest(*texts: str) -> int:
  """Returns a hash of texts and of where each ends, of 64 bits."""
  lengths = ",".join(map(str, map(len, texts)))
  content = f"{lengths}:{''.join(texts)}".encode("utf-8", "surrogatepass")
  return int.from_bytes(
      hashlib.blake2b(content, digest_size=8).digest(), "little"
  )


def digests_of(example: suite.Example) -> tuple[int, int, int]:
  """Returns digests of an example's input, of its prompt and of all its text.

  The prompt is definition and input; the text continues with the first answer,
  or is all turns. A missing input is replaced by the prompt, a missing prompt
  by the text.
  """
  text, definition = example.input, example.definition
  question = prompt = digest(text) if text else NO_DIGEST
  if definition:
    prompt = digest(text, definition)
  if example.turns:
    whole = digest(*(str(part) for turn in example.turns for part in turn), "")
  else:
    whole = digest(text, definition, *example.targets[:1])
  return question or prompt or whole, prompt or whole, whole


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
    selected: Mapping[str, Mapping[str, np.ndarray]],
    digests: Callable[[str], np.ndarray],
) -> dict[str, Any]:
  """Counts held-out examples whose question is in training.

  Args:
    selected: row numbers of each task of each split.
    digests: returns the digests of all rows, uint64: of their "input", or of
      their "prompt".

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
  inputs = _count_hits(heldout, training, digests("input"))
  prompts = _count_hits(heldout, training, digests("prompt"))
  return {
      "inputs": sum(inputs.values()),
      "prompts": sum(prompts.values()),
      "tasks": dict(list(inputs.items())[:_MAX_TASKS]),
  }


def _count_hits(
    heldout: Mapping[str, np.ndarray], training: np.ndarray, digests: np.ndarray
) -> dict[str, int]:
  """Returns how many rows of each task have a training row's digest."""
  # Few are held out: sorting all training rows would take the memory of three
  # copies.
  known, numbers = np.unique(
      digests[_concatenate(heldout)], return_inverse=True
  )
  is_known = np.zeros(len(known), bool)
  if len(known):
    trained = digests[training]
    nearest = np.searchsorted(known[:-1], trained)
    is_known[nearest[known[nearest] == trained]] = True
  hits = is_known[numbers]
  borders = np.cumsum([len(numbers) for numbers in heldout.values()])[:-1]
  counts = zip(heldout, np.split(hits, borders), strict=True)
  return {task: int(hit.sum()) for task, hit in counts if hit.any()}


def _concatenate(rows: Mapping[str, np.ndarray]) -> np.ndarray:
  """Returns the rows of all tasks, one task after another."""
  return np.concatenate([np.zeros(0, np.int64), *rows.values()])
