"""Counts what enters a store, by task, and checks the suite's contract."""

import collections
import itertools
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from zsgen.core import errors
from zsgen.data import chunks, suite

_LABELS = ("task", "category", "split")
_NUMBERS = ("tokens", "loss_tokens", "cut", "answer_cut")
# Counted where there are any.
_RARE = (
    "unknown",
    "unknown_loss",
    "lost_characters",
    "answer_changed",
    "answer_lost",
    "border_differs",
    "unanswered",
)


class Ledger:
  """Counts examples as they come, task by task.

  Attributes:
    rows: examples that are kept.
    counts: of each split: examples, cut, answer_cut, dropped, tokens,
      loss_tokens; and where there are any unknown, unknown_loss (tokens),
      lost_characters (of requests), answer_changed, answer_lost and
      border_differs and unanswered (examples), see `chunks.Chunk`.
    dropped: examples of each task that had no answer token left.
    cut: examples of each task that were longer than a row may be.
    prompts: what prompts left out, see `prompts.Prompts`.
    characters: that the tokenizer does not know, and how often they came.
  """

  def __init__(self):
    self.rows = 0
    self.counts: dict[str, collections.Counter] = {}
    self.dropped: collections.Counter = collections.Counter()
    self.cut: collections.Counter = collections.Counter()
    self.prompts: collections.Counter = collections.Counter()
    self.characters: collections.Counter = collections.Counter()
    self._tasks: dict[str, dict[str, Any]] = {}
    self._current = None

  def add(self, table: pa.Table) -> None:
    """Counts the examples of a chunk.

    Args:
      table: see `chunks.Chunk`; an example without loss tokens is dropped,
        unless it is kept as unanswered.

    Raises:
      InputError: the examples of a task are not contiguous, or are in two
        splits.
    """
    numbers = [table[name].to_numpy() for name in _NUMBERS]
    numbers.append(chunks.is_kept(table))
    rare = {name: table[name].to_numpy() for name in _RARE}
    for first, stop in itertools.pairwise(_borders(table)):
      name, category, split = (table[label][first].as_py() for label in _LABELS)
      task = self._task(name, category, split)
      self._add(task, *(column[first:stop] for column in numbers))
      for count, column in rare.items():
        if total := int(column[first:stop].sum()):
          self.counts[split][count] += total

  def _add(
      self,
      task: dict[str, Any],
      tokens: np.ndarray,
      loss_tokens: np.ndarray,
      cut: np.ndarray,
      answer_cut: np.ndarray,
      is_kept: np.ndarray,
  ) -> None:
    """Counts some examples of a task, arrays of [n]."""
    counts = self.counts.setdefault(task["split"], collections.Counter())
    count = int(is_kept.sum())
    counts["examples"] += len(is_kept)
    counts["cut"] += int(cut.sum())
    counts["answer_cut"] += int(answer_cut.sum())
    if cut.any():
      self.cut[task["task"]] += int(cut.sum())
    if count < len(is_kept):
      counts["dropped"] += len(is_kept) - count
      self.dropped[task["task"]] += len(is_kept) - count
    if count:
      counts["tokens"] += int(tokens[is_kept].sum())
      counts["loss_tokens"] += int(loss_tokens.sum())
    task["count"] += count
    self.rows += count

  def tasks(self, outline: suite.Outline) -> pa.Table:
    """Returns the table of tasks.

    Raises:
      InputError: a split of the suite has no example.
    """
    used = [task for task in self._tasks.values() if task["count"]]
    splits = {task["split"] for task in used}
    for split in (suite.TRAIN, *outline.heldout):
      if split not in splits:
        raise errors.InputError(
            f"the suite {outline.name} has no example left in {split}:"
            f" {self._reasons(split)}."
        )
    for split, counts in self.counts.items():
      counts["tasks"] = sum(task["split"] == split for task in used)
    return pa.Table.from_pylist(used)

  def _reasons(self, split: str) -> str:
    """Returns why examples of a split are dropped."""
    counts = self.counts.get(split, {})
    lost = counts.get("answer_lost", 0)
    reasons = (
        f"{counts.get('dropped', 0) - lost} had no answer, or lost all of it to"
        " config.data.max_length"
    )
    if not lost:
      return reasons
    return (
        f"{reasons}; {lost} were left out (config.data.on_bad_row='skip')"
        " because the tokenizer drops characters of their answers"
    )

  def _task(self, name: str, category: str, split: str) -> dict[str, Any]:
    """Returns the task's entry; a new one begins where the last one ended."""
    if name == self._current:
      task = self._tasks[name]
    elif name in self._tasks:
      raise errors.InputError(
          f"the source gives task {name} in two parts; the examples of a"
          " task must be contiguous, in one split only."
      )
    else:
      self._current = name
      task = self._tasks[name] = {
          "task": name,
          "category": category,
          "split": split,
          "first": self.rows,
          "count": 0,
      }
    if task["split"] != split:
      raise errors.InputError(
          f"task {name} is in {task['split']} and in {split}; a task is in one"
          " split only."
      )
    return task


def _borders(table: pa.Table) -> list[int]:
  """Returns the first row of each run of equal labels, and the number of rows."""
  changes = np.zeros(len(table) - 1, bool)
  for label in _LABELS:
    values = table[label].combine_chunks()
    differs = pc.call_function("not_equal", [values[1:], values[:-1]])
    changes |= differs.to_numpy(zero_copy_only=False)
  return [0, *(np.flatnonzero(changes) + 1).tolist(), len(table)]
