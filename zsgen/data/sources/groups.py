"""Groups rows by task and split, while a source is scanned."""

import array
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from zsgen.core import errors
from zsgen.data import suite
from zsgen.data.sources import duplicates

# A task and one of the source's own splits.
_Group = tuple[str, str]


class Task(NamedTuple):
  """A task's rows, in the source's order."""

  category: str
  # The source's own; "" where it has none.
  split: str
  rows: np.ndarray  # int64


class Groups:
  """Collects rows one after another; finds tasks and repeated keys."""

  def __init__(self, tasks_by_split: Mapping[str, Sequence[str]] | None):
    """Starts without a row.

    Args:
      tasks_by_split: the tasks of each split, in order, if the source names
        them; rows of other tasks are in no group.
    """
    self._digests = tuple(array.array("q") for _ in duplicates.Digests._fields)
    self._rows: dict[_Group, array.array] = {}
    self._keys: dict[_Group, array.array] = {}
    self._categories: dict[_Group, str] = {}
    self._splits = {
        task: split
        for split, names in (tasks_by_split or {}).items()
        for task in names
    }
    for group in self._splits.items():
      self._begin(group)

  def _begin(self, group: _Group) -> None:
    """Adds a group without a row."""
    self._rows[group] = array.array("q")
    self._keys[group] = array.array("q")

  def add(
      self, row: int, example: suite.Example | None
  ) -> suite.Example | None:
    """Adds a row; the first row of a group sets its category.

    Args:
      row: its number.
      example: None if the row is bad.

    Returns:
      The example; None if it is in no group.
    """
    if example is None or (self._splits and example.task not in self._splits):
      for column in self._digests:
        column.append(duplicates.NO_DIGEST)
      return None
    split = self._splits.get(example.task, example.split)
    group = example.task, split
    if group not in self._rows:
      self._begin(group)
    self._categories.setdefault(group, example.category)
    self._rows[group].append(row)
    self._keys[group].append(hash(example.key))
    digests = duplicates.digests_of(example)
    for column, digest in zip(self._digests, digests, strict=True):
      column.append(digest)
    return example

  def digests(self) -> duplicates.Digests:
    """Returns the digests of all rows."""
    return duplicates.Digests(*map(duplicates.as_numbers, self._digests))

  def repeated(self) -> Iterator[tuple[str, int]]:
    """Yields task and number of each row whose key came before in its group."""
    for (task, split), rows in self._rows.items():
      is_repeated = self._find_repeated((task, split))
      for row in np.asarray(rows)[is_repeated].tolist():
        yield task, row

  def _find_repeated(self, group: _Group) -> np.ndarray:
    """Returns which rows of a group have a key that came before, bool [n]."""
    return duplicates.repeated(duplicates.as_numbers(self._keys[group]))

  def tasks(self) -> dict[str, Task]:
    """Returns the tasks, without rows whose key came before.

    Raises:
      InputError: the name of a task's part is that of another task.
    """
    splits: dict[str, list[str]] = {}
    for task, split in self._rows:
      splits.setdefault(task, []).append(split)
    tasks: dict[str, Task] = {}
    for group, rows in self._rows.items():
      name = _name(group, splits)
      tasks[name] = Task(
          category=self._categories.get(group, ""),
          split=group[1],
          rows=np.asarray(rows)[~self._find_repeated(group)],
      )
    return tasks


def _name(group: _Group, splits: Mapping[str, Sequence[str]]) -> str:
  """Returns the name of a group's task; a task is in one split only."""
  task, split = group
  if len(splits[task]) == 1 or split == suite.TRAIN:
    return task
  name = f"{task}.{split}"
  if name in splits:
    raise errors.InputError(
        f"task {task}: its rows of the split {split} would be the task {name},"
        " which already exists. Rename one of them."
    )
  return name
