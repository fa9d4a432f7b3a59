"""JSON files that carry a digest of their own content."""

from collections.abc import Mapping
import pathlib
from typing import Any

from zsgen import artifacts, errors

_DIGEST = "digest"


def seal(value: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the fields of a value, and `digest`: the SHA-256 of them."""
  return {**value, _DIGEST: artifacts.digest(value)}


def unseal(value: Any) -> dict[str, Any]:
  """Returns the fields that were sealed.

  Args:
    value: what `seal` gave; without a digest, as older versions wrote it, it
      is not checked.

  Raises:
    ValueError: it was changed since.
  """
  if not isinstance(value, dict):
    raise ValueError("is not an object")
  fields = {name: each for name, each in value.items() if name != _DIGEST}
  if _DIGEST in value and value[_DIGEST] != artifacts.digest(fields):
    raise ValueError("its fields do not have the digest written with them")
  return fields


def write(path: pathlib.Path, value: Mapping[str, Any]) -> None:
  """Writes a value with its digest: whole, or as it was."""
  artifacts.write_json(path, seal(value))


def read(path: pathlib.Path, advice: str) -> dict[str, Any]:
  """Reads what `write` wrote.

  Args:
    path: the file.
    advice: a sentence that says what to do where it is damaged.

  Raises:
    InputError: it is missing, no JSON, or was changed.
  """
  try:
    return unseal(artifacts.read_json(path))
  except (ValueError, errors.InputError) as error:
    reason = error.__cause__ or error
    raise errors.InputError(
        f"{path}: is damaged or was changed ({reason}). {advice}"
    ) from error
