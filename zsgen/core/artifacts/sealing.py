"""Values with a digest of their own content."""

from collections.abc import Mapping
import pathlib
from typing import Any

from zsgen.core import errors
from zsgen.core.artifacts import hashing, reading, writing

# The field with the digest of all other fields.
DIGEST = "digest"


def seal(value: Mapping[str, Any], owner: str = "") -> dict[str, Any]:
  """Returns a value with a field `digest`, of its other fields and the owner.

  Args:
    value: fields as JSON values; an existing digest is replaced.
    owner: what the fields belong to, such as a run. It is not written, but the
      same fields of another owner have another digest.
  """
  fields = {name: field for name, field in value.items() if name != DIGEST}
  return {**fields, DIGEST: hashing.digest([owner, fields])}


def unseal(value: Any, owner: str = "") -> dict[str, Any]:
  """Checks the digest of a sealed value, and returns the other fields.

  Args:
    value: what `seal` returned. Older versions wrote values without a digest;
      these are not checked.
    owner: as for `seal`.

  Raises:
    ValueError: the value was changed, or belongs to another owner.
  """
  if not isinstance(value, dict):
    raise ValueError("it is not an object")
  if DIGEST in value and value != seal(value, owner):
    raise ValueError(
        "its fields do not match the digest that was written with them"
    )
  return {name: field for name, field in value.items() if name != DIGEST}


def write_sealed(
    path: pathlib.Path, value: Mapping[str, Any], owner: str = ""
) -> None:
  """Writes a value with its digest (see `seal`), in full or not at all."""
  writing.write_json(path, seal(value, owner))


def read_sealed(path: pathlib.Path, owner: str, advice: str) -> dict[str, Any]:
  """Reads and checks what `write_sealed` wrote.

  Args:
    path: the file.
    owner: as for `seal`.
    advice: a sentence that says what to do if the file is damaged.

  Raises:
    InputError: the file is missing, not JSON, was changed, or belongs to
      another owner.
  """
  try:
    return unseal(reading.read_json(path), owner)
  except (ValueError, errors.InputError) as error:
    reason = error.__cause__ or error
    raise errors.InputError(
        f"{path}: is damaged, was changed or was copied here ({reason})."
        f" {advice}"
    ) from error
