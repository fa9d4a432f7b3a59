"""JSON files that carry a digest of their own content and of their owner."""

from collections.abc import Mapping
import pathlib
from typing import Any

from zsgen import artifacts, errors

_DIGEST = "digest"


def seal(value: Mapping[str, Any], owner: str) -> dict[str, Any]:
  """Returns the fields of a value, and `digest`: of them and of the owner.

  Args:
    value: any fields that JSON has.
    owner: what they are of, such as a run; it is not written down, so that
      the same fields of another owner are not taken for this one's.
  """
  return {**value, _DIGEST: _digest(value, owner)}


def unseal(value: Any, owner: str) -> dict[str, Any]:
  """Returns the fields that were sealed.

  Args:
    value: what `seal` gave; without a digest, as older versions wrote it, it
      is not checked.
    owner: as of `seal`.

  Raises:
    ValueError: it was changed since, or is of another owner.
  """
  if not isinstance(value, dict):
    raise ValueError("is not an object")
  fields = {name: each for name, each in value.items() if name != _DIGEST}
  if _DIGEST in value and value[_DIGEST] != _digest(fields, owner):
    raise ValueError("its content has not the digest that was written with it")
  return fields


def write(path: pathlib.Path, value: Mapping[str, Any], owner: str) -> None:
  """Writes a value with its digest (see `seal`): whole, or as it was."""
  artifacts.write_json(path, seal(value, owner))


def read(path: pathlib.Path, owner: str, advice: str) -> dict[str, Any]:
  """Reads what `write` wrote.

  Args:
    path: the file.
    owner: as of `seal`.
    advice: a sentence that says what to do where it is damaged.

  Raises:
    InputError: it is missing, no JSON, was changed or is of another owner.
  """
  try:
    return unseal(artifacts.read_json(path), owner)
  except (ValueError, errors.InputError) as error:
    reason = error.__cause__ or error
    raise errors.InputError(
        f"{path}: is damaged, was changed or belongs elsewhere ({reason})."
        f" {advice}"
    ) from error


def _digest(fields: Mapping[str, Any], owner: str) -> str:
  return artifacts.digest([owner, fields])
