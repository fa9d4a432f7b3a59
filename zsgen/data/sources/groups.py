"""Groups rows by task and split, while a source is scanned and afterwards."""

from collections.abc import Callable, Iterator, Mapping, Sequence
import itertools
import struct
from typing import NamedTuple

import numpy as np

from zsgen.core import errors
from zsgen.data import suite
from zsgen.data.sources import duplicates

# A task and one of the source's own splits.
Group = tuple[str, str]
TasksBySplit = Mapping[str, Sequence[str]] | None
# What a scan notes of a row: the number of its group, digests (see
# `duplicates`), its characters and its answers to choose from.
ROW = np.dtype(
    [
        ("group", np.int32),
        ("key", np.uint64),
        ("input", np.uint64),
        ("prompt", np.uint64),
        ("whole", np.uint64),
        ("characters", np.int32),
        ("choices", np.int32),
    ]
)
# The same layout, so that a row is appended at once.
_LAYOUT = struct.Struct("=iQQQQii")
# A row that is bad, or of a task that is not read.
_NO_ROW = (-1, *(duplicates.NO_DIGEST,) * 4, 0, 0)


class Task(NamedTuple):
  """A task's rows, in the source's order."""

  category: str
  # The source's own; "" where it has none.
  split: str
  rows: np.ndarray  # int64


class Notes:
  """Notes on rows that are scanned one after another.

  Attributes:
    groups: the category of the first row of each group, by number.
  """

  def __init__(self, tasks_by_split: TasksBySplit):
    """Starts without a row.

    Args:
      tasks_by_split: the tasks of each split, if the source names them; rows
        of other tasks are in no group.
    """
    self._rows = bytearray()
    self._splits = _splits(tasks_by_split)
    self._numbers: dict[Group, int] = {}
    self.groups: dict[Group, str] = {}

  def __len__(self) -> int:
    return len(self._rows) // _LAYOUT.size

  def add(self, example: suite.Example | None) -> suite.Example | None:
    """Adds the next row.

    Args:
      example: None if the row is bad.

    Returns:
      The example; None if it is in no group.
    """
    if example is not None and not self._is_read(example.task):
      example = None
    values = _NO_ROW if example is None else self._describe(example)
    self._rows += _LAYOUT.pack(*values)
    return example

  def _is_read(self, task: str) -> bool:
    return not self._splits or task in self._splits

  def _describe(self, example: suite.Example) -> tuple[int, ...]:
    """Returns the values of `ROW` of an example."""
    group = example.task, self._splits.get(example.task, example.split)
    number = self._numbers.setdefault(group, len(self._numbers))
    self.groups.setdefault(group, example.category)
    return (
        number,
        duplicates.digest(example.key),
        *duplicates.digests_of(example),
        example.count_characters(),
        len(example.choices),
    )

  def rows(self) -> np.ndarray:
    """Returns the notes on all rows, ROW [n]."""
    return np.frombuffer(bytes(self._rows), ROW)


class Groups:
  """The groups of all rows of a source."""

  def __init__(
      self,
      parts: Sequence[tuple[int, Mapping[Group, str]]],
      column: Callable[[str], np.ndarray],
      tasks_by_split: TasksBySplit,
  ):
    """Joins the notes on the parts of a source, in its order.

    Args:
      parts: the number of rows and the groups of each, as in `Notes`.
      column: returns a new array of a column of ROW, of the rows of all parts.
      tasks_by_split: as for `Notes`; sets the order of the tasks.
    """
    self._categories: dict[Group, str] = {}
    groups = dict.fromkeys(_splits(tasks_by_split).items())
    names = []
    for count, categories in parts:
      groups |= dict.fromkeys(categories)
      for group, category in categories.items():
        self._categories.setdefault(group, category)
      names.append((count, list(categories)))
    self._groups = list(groups)
    self._rows = _rows_by_group(names, column("group"), self._groups)
    self._is_repeated = _find_repeated(self._rows, column("key"))

  def repeated(self) -> Iterator[tuple[str, int]]:
    """Yields task and number of each row whose key came before in its group."""
    for (task, _), rows, is_repeated in zip(
        self._groups, self._rows, self._is_repeated, strict=True
    ):
      for row in rows[is_repeated].tolist():
        yield task, row

  def tasks(self) -> dict[str, Task]:
    """Returns the tasks, without rows whose key came before.

    Raises:
      InputError: the name of a task's part is that of another task.
    """
    splits: dict[str, list[str]] = {}
    for task, split in self._groups:
      splits.setdefault(task, []).append(split)
    tasks: dict[str, Task] = {}
    for group, rows, is_repeated in zip(
        self._groups, self._rows, self._is_repeated, strict=True
    ):
      tasks[_name(group, splits)] = Task(
          category=self._categories.get(group, ""),
          split=group[1],
          rows=rows[~is_repeated],
      )
    return tasks


def _splits(tasks_by_split: TasksBySplit) -> dict[str, str]:
  """Returns the split of each task that the source names."""
  return {
      task: split
      for split, names in (tasks_by_split or {}).items()
      for task in names
  }


def _rows_by_group(
    parts: Sequence[tuple[int, Sequence[Group]]],
    numbers: np.ndarray,
    groups: Sequence[Group],
) -> list[np.ndarray]:
  """Returns the numbers of the rows of each group, int64, ascending.

  Args:
    parts: the number of rows of each part, and its groups.
    numbers: the group of each row in its part, int32 [N]; is overwritten.
    groups: all groups.
  """
  positions = {group: number for number, group in enumerate(groups)}
  first = 0
  for count, names in parts:
    # The last number is that of no group, -1.
    known = np.array([*(positions[name] for name in names), -1], np.int32)
    numbers[first : first + count] = known[numbers[first : first + count]]
    first += count
  order = np.argsort(numbers, kind="stable")
  # Rows of no group come first.
  numbers += 1
  borders = np.cumsum(np.bincount(numbers, minlength=len(groups) + 1))
  return [order[i:j] for i, j in itertools.pairwise(borders)]


def _find_repeated(
    rows_by_group: Sequence[np.ndarray], keys: np.ndarray
) -> list[np.ndarray]:
  """Returns which rows of each group have a key that came before, bool [n]."""
  return [duplicates.repeated(keys[rows]) for rows in rows_by_group]


def _name(group: Group, splits: Mapping[str, Sequence[str]]) -> str:
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
