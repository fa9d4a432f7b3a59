"""Records which tokenizer a directory holds."""

import pathlib

from zsgen.core import artifacts, errors

RECORD = "zsgen.json"


def write(directory: pathlib.Path, kind: str, fingerprint: str) -> None:
  """Records a tokenizer's kind and fingerprint, after its files."""
  directory.mkdir(parents=True, exist_ok=True)
  record = {"kind": kind, "fingerprint": fingerprint}
  artifacts.write_json(directory / RECORD, record)


def read(directory: pathlib.Path) -> dict[str, str]:
  """Reads the fields `kind` and `fingerprint`.

  Raises:
    InputError: the directory has no saved tokenizer, or its record is damaged.
  """
  if not (directory / RECORD).is_file():
    raise errors.InputError(
        f"{directory}: has no saved tokenizer ({RECORD} is missing)."
    )
  record = artifacts.read_json(directory / RECORD)
  if not isinstance(record, dict) or set(record) != {"kind", "fingerprint"}:
    raise damaged(directory)
  return record


def damaged(directory: pathlib.Path) -> errors.InputError:
  """Returns the error for a saved tokenizer that has changed."""
  return errors.InputError(
      f"{directory}: is not the tokenizer that was saved. Delete"
      f" {directory.parent} to make it again."
  )
