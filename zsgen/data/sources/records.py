"""Reads and checks fields of JSON records; errors name the location."""

import collections
from collections.abc import Mapping, Sequence
import reprlib
from typing import Any, NamedTuple

from zsgen.core import errors
from zsgen.data import suite

# Bytes of the longest row; longer ones are damaged, not text to learn from.
LONGEST = 10_000_000


class Record(NamedTuple):
  """A row of a file, as a format's scan yields it."""

  # File and position, for messages.
  location: str
  # The row, or an InputError if it cannot be read.
  value: Any


def too_long(location: object) -> errors.InputError:
  """Returns the error of a row beyond LONGEST."""
  return errors.InputError(
      f"{location}: the row is longer than {LONGEST // 10**6} MB; it is damaged"
      " or no example."
  )


def distinct(columns: Sequence[str], location: object) -> Sequence[str]:
  """Returns the names of a file's columns, if all of them differ.

  Raises:
    InputError: a name occurs twice.
  """
  twice = [name for name, n in collections.Counter(columns).items() if n > 1]
  if twice:
    raise errors.InputError(
        f"{location}: names the column {twice[0]!r} twice. Rename one of them."
    )
  return columns


def old_lines(location: str) -> errors.InputError:
  """Returns the error of a line with a carriage return for a line end."""
  return errors.InputError(
      f"{location}: contains carriage returns (CR), the line ends of old Macs."
      " Convert them to LF: tr '\\r' '\\n' < FILE > ANOTHER."
  )


def field(
    record: Any, name: str, kinds: tuple[type, ...], location: object
) -> Any:
  """Returns a field of a JSON object.

  Args:
    record: the object, or a value of another type.
    name: the field.
    kinds: types that it may have.
    location: file and position, for the message.

  Raises:
    InputError: no object, no such field, or another type.
  """
  # Nearly all are dicts, which is faster to check than for a mapping.
  if not isinstance(record, (dict, Mapping)):
    raise errors.InputError(f"{location}: must be a JSON object.")
  if name not in record:
    raise errors.InputError(f'{location}: the field "{name}" is missing.')
  value = record[name]
  if not isinstance(value, kinds):
    expected = " or ".join(kind.__name__ for kind in kinds)
    raise errors.InputError(
        f'{location}: the field "{name}" is not a {expected}, but of type'
        f" {type(value).__name__}."
    )
  return value


def text(record: Any, name: str, location: object) -> str:
  """Returns a field that is text and not empty, unchanged.

  Raises:
    InputError: no object, no such field, another type, or only white space.
  """
  return _not_empty(field(record, name, (str,), location), name, location)


def _not_empty(value: str, name: str, location: object) -> str:
  """Returns a text, if it is not empty."""
  if not value or value.isspace():
    raise errors.InputError(f'{location}: the field "{name}" is empty.')
  return value


def texts(record: Any, name: str, location: object) -> tuple[str, ...]:
  """Returns a field that is a text or a list of texts, none of them empty.

  Raises:
    InputError: no object, no such field, another type, or nothing in it.
  """
  value = field(record, name, (str, list), location)
  items = [value] if isinstance(value, str) else value
  if not all(isinstance(item, str) for item in items):
    raise errors.InputError(f'{location}: the field "{name}" is not all text.')
  if not items or not all(item.strip() for item in items):
    raise errors.InputError(
        f'{location}: the field "{name}" has an empty answer.'
    )
  return tuple(items)


def choices(record: Any, name: str, location: object) -> tuple[str, ...]:
  """Returns a field that is a list of texts to choose from.

  Raises:
    InputError: no object, no such field, another type, no text in it, or one
      that is empty.
  """
  values = field(record, name, (list,), location)
  if not values:
    raise errors.InputError(f'{location}: the field "{name}" has no choice.')
  return texts(record, name, location)


def choose(
    candidates: tuple[str, ...],
    targets: tuple[str, ...],
    location: object,
    name: str,
) -> tuple[str, ...]:
  """Returns the texts to choose from, after checking them.

  Args:
    candidates: the texts; () if the row has none.
    targets: the right answers.
    location: for the message.
    name: the field that contains them.

  Raises:
    InputError: two are equal, or none is right.
  """
  twice = [text for i, text in enumerate(candidates) if text in candidates[:i]]
  if twice:
    raise errors.InputError(
        f'{location}: the field "{name}" has the choice {twice[0]!r} twice.'
    )
  if candidates and not set(candidates) & set(targets):
    raise errors.InputError(
        f'{location}: none of the choices of the field "{name}",'
        f" {reprlib.repr(list(candidates))}, is the answer,"
        f" {reprlib.repr(targets[0])}."
    )
  return candidates


def key(
    record: Any, name: str, location: object, number: int | str = ""
) -> str:
  """Returns a field that names the row: text or a whole number.

  Args:
    record: the row.
    name: the field.
    location: for the message.
    number: names a row that has no such field; "" if it must have it.

  Raises:
    InputError: no such field, another type, or empty.
  """
  if number != "" and isinstance(record, Mapping) and name not in record:
    return str(number)
  value = field(record, name, (str, int), location)
  return (
      _not_empty(value, name, location)
      if isinstance(value, str)
      else str(value)
  )


def check_texts(example: suite.Example, location: object) -> None:
  """Checks that an example's texts are Unicode and not too long.

  Raises:
    InputError: a text has a lone surrogate, or all are longer than LONGEST.
  """
  parts = [example.task, example.category, example.split, example.key]
  parts += [example.definition, example.input, *example.targets]
  parts += example.choices
  if example.turns:
    parts += [turn.text for turn in example.turns]
  if example.shots:
    parts += [part for shot in example.shots for part in shot[:3]]
  try:
    size = len("".join(parts).encode())
  except UnicodeEncodeError as error:
    raise errors.InputError(f"{location}: is not Unicode ({error}).") from error
  if size > LONGEST:
    raise too_long(location)


def has_content(value: Any) -> bool:
  """Returns whether a field that is not read is not empty."""
  return bool(value or value == 0) and value not in ("[]", "{}")


def printable(name: str) -> str:
  """Returns a name from data, with invalid Unicode escaped."""
  return name.encode("utf-8", "backslashreplace").decode()


def names(task_names: list, location: object) -> list[str]:
  """Returns a list of task names, unchanged.

  Raises:
    InputError: it is empty, or has a value that is no text, or a name twice.
  """
  if not task_names:
    raise errors.InputError(f"{location}: names no task.")
  for name in task_names:
    if not isinstance(name, str) or not name:
      raise errors.InputError(f"{location}: {name!r} is no task name.")
  if len(set(task_names)) < len(task_names):
    twice = next(name for name in task_names if task_names.count(name) > 1)
    raise errors.InputError(f"{location}: names {twice} twice.")
  return task_names


def check_disjoint(
    tasks: Mapping[str, Sequence[str]], location: object
) -> None:
  """Checks that no task is both trained on and held out.

  Args:
    tasks: names by split: the training tasks, then the held-out ones.
    location: the file of the list, for the message.

  Raises:
    InputError: names the first such task.
  """
  training, heldout = tasks.values()
  shared = sorted(set(training) & set(heldout))
  if shared:
    raise errors.InputError(
        f"{location}: {shared[0]} is a held-out task and a training task too"
        f" ({len(shared)} such tasks); take it out of one list."
    )
