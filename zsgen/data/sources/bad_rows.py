"""Rows that cannot be used: reported together, or left out and counted."""

import collections
from collections.abc import Sequence
from typing import Any

from zsgen.core import errors

# The most messages that are kept, and tasks whose first message is kept.
_MAX_MESSAGES = 5
_TASKS = 1000


class BadRow(errors.InputError):
  """The error of a row.

  Attributes:
    task: the task that the row names; "" if it names none.
  """

  def __init__(self, message: str, task: str = ""):
    super().__init__(message)
    self.task = task


class BadRows:
  """Counts rows that cannot be used, and keeps the first messages.

  Attributes:
    count: how many there are.
  """

  def __init__(self):
    self.count = 0
    self._first: list[str] = []
    self._by_task: collections.Counter[str] = collections.Counter()
    self._first_of_task: dict[str, str] = {}

  def add(self, error: errors.InputError) -> None:
    """Counts a bad row."""
    self.count += 1
    if len(self._first) < _MAX_MESSAGES:
      self._first.append(str(error))
    if task := getattr(error, "task", ""):
      self._by_task[task] += 1
      if len(self._first_of_task) < _TASKS:
        self._first_of_task.setdefault(task, str(error))

  def update(self, later: "BadRows") -> None:
    """Adds the bad rows of a later part of the source."""
    self.count += later.count
    self._first = [*self._first, *later._first][:_MAX_MESSAGES]
    self._by_task.update(later._by_task)
    for task, message in later._first_of_task.items():
      if len(self._first_of_task) < _TASKS:
        self._first_of_task.setdefault(task, message)

  def to_json(self) -> list[Any]:
    """Returns JSON values that `from_json` takes."""
    return [
        self.count,
        self._first,
        list(self._by_task.items()),
        list(self._first_of_task.items()),
    ]

  @classmethod
  def from_json(cls, values: Sequence[Any]) -> "BadRows":
    """Returns the bad rows that `to_json` described."""
    bad = cls()
    bad.count, bad._first, by_task, first_of_task = values
    bad._by_task.update(dict(by_task))
    bad._first_of_task.update(first_of_task)
    return bad

  def error(self) -> errors.InputError:
    """Returns the error that reports all bad rows."""
    return refuse(self.count, self._first)

  def explain_absence(self, task: str) -> str:
    """Returns what was left out, for messages on a missing task; or ""."""
    if not self.count:
      return ""
    if count := self._by_task[task]:
      reason = self._first_of_task.get(task, self._first[0])
      rows = "1 bad row" if count == 1 else f"{count:,} bad rows"
      verb = "was" if count == 1 else "were"
      return f" {rows} of {task} {verb} left out: {reason}"
    return f" {describe(self.count, self._first)}"

  def summary(self) -> dict[str, Any]:
    """Returns the count and the first messages, for a manifest."""
    return {"count": self.count, "first": list(self._first)}


def refuse(count: int, first: Sequence[str]) -> errors.InputError:
  """Returns the error for bad rows that are not to be left out."""
  return errors.InputError(
      f"{describe(count, first)}{chr(10) if count > 1 else ' '}Fix the source,"
      " or leave bad rows out: --config.data.on_bad_row=skip."
  )


def describe(count: int, first: Sequence[str]) -> str:
  """Returns the first messages of bad rows, one a line if several."""
  if count == 1:
    return first[0]
  lines = "".join(f"\n  {message}" for message in first)
  excerpt = (
      f", of which the first {len(first)} are" if count > len(first) else ""
  )
  return f"{count:,} bad rows{excerpt}:{lines}"
