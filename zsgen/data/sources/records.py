"""Fields of JSON records, checked: what is wrong names its place."""

from collections.abc import Mapping
from typing import Any

from zsgen import errors


def field(
    record: Any, name: str, kinds: tuple[type, ...], place: object
) -> Any:
  """A field of a JSON object.

  Args:
    record: the object, or whatever stands in its place.
    name: the field.
    kinds: types that it may have.
    place: file and position, for the message.

  Raises:
    InputError: no object, no such field, or another type.
  """
  if not isinstance(record, Mapping):
    raise errors.InputError(f"{place}: must be a JSON object.")
  if name not in record:
    raise errors.InputError(f'{place}: the field "{name}" is missing.')
  if not isinstance(record[name], kinds):
    wanted = " or ".join(kind.__name__ for kind in kinds)
    raise errors.InputError(f'{place}: the field "{name}" is not a {wanted}.')
  return record[name]


def names(listed: list, place: object) -> list[str]:
  """A list of task names, as it is.

  Raises:
    InputError: it is empty, or has what is no text or a name twice.
  """
  if not listed:
    raise errors.InputError(f"{place}: names no task.")
  for name in listed:
    if not isinstance(name, str) or not name:
      raise errors.InputError(f"{place}: {name!r} is no task name.")
  if len(set(listed)) < len(listed):
    twice = next(name for name in listed if listed.count(name) > 1)
    raise errors.InputError(f"{place}: names {twice} twice.")
  return listed


def apart(training: list[str], heldout: list[str], place: object) -> None:
  """Checks that no task is both trained on and held out.

  Raises:
    InputError: names the first such task.
  """
  both = sorted(set(training) & set(heldout))
  if both:
    raise errors.InputError(
        f"{place}: {both[0]} is a held-out task and a training task too"
        f" ({len(both)} such tasks); take it out of one list."
    )
