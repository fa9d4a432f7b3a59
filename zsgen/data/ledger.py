"""What goes into a store, counted by task; and the suite's contract, checked."""

import collections
from typing import Any

import pyarrow as pa

from zsgen import errors
from zsgen.data import suite

_READ = (
    "task",
    "category",
    "split",
    "tokens",
    "loss_tokens",
    "cut",
    "answer_cut",
)


class Ledger:
  """Counts examples as they come, task by task.

  Attributes:
    rows: examples that are kept.
    counts: of each split: examples, cut, answer_cut, dropped, tokens,
      loss_tokens.
    dropped: examples of each task that had no answer token left.
    prompts: what prompts left out, see `prompts.Prompts`.
  """

  def __init__(self):
    self.rows = 0
    self.counts: dict[str, collections.Counter] = {}
    self.dropped: collections.Counter = collections.Counter()
    self.prompts: collections.Counter = collections.Counter()
    self._tasks: dict[str, dict[str, Any]] = {}
    self._current = None

  def add(self, table: pa.Table) -> None:
    """Counts the examples of a chunk.

    Args:
      table: see `chunks.Chunk`; an example without loss tokens is dropped.

    Raises:
      InputError: a task stands in two places, or in two splits.
    """
    for row in zip(*(table[name].to_pylist() for name in _READ), strict=True):
      name, category, split, length, loss, cut, answer_cut = row
      task = self._task(name, category, split)
      counts = self.counts.setdefault(split, collections.Counter())
      counts["examples"] += 1
      counts["cut"] += cut
      counts["answer_cut"] += answer_cut
      if not loss:
        counts["dropped"] += 1
        self.dropped[name] += 1
        continue
      counts["tokens"] += length
      counts["loss_tokens"] += loss
      task["count"] += 1
      self.rows += 1

  def tasks(self, source: suite.Suite) -> pa.Table:
    """The table of tasks; every split of the suite must have examples."""
    kept = [task for task in self._tasks.values() if task["count"]]
    found = {task["split"] for task in kept}
    for split in (suite.TRAIN, *source.heldout):
      if split not in found:
        raise errors.InputError(
            f"the suite {source.name} has no example left in {split}:"
            f" {self.counts.get(split, {}).get('dropped', 0)} had no answer, or"
            " lost all of it to config.data.max_length."
        )
    for split, counts in self.counts.items():
      counts["tasks"] = sum(task["split"] == split for task in kept)
    return pa.Table.from_pylist(kept)

  def _task(self, name: str, category: str, split: str) -> dict[str, Any]:
    """The task's entry; a new one begins where the last one ended."""
    if name == self._current:
      task = self._tasks[name]
    elif name in self._tasks:
      raise errors.InputError(
          f"the source gives task {name} in two places; a task must stand"
          " together, in one split only."
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
