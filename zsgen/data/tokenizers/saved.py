"""Which tokenizer a directory holds: what `save` notes and `load` reads."""

import pathlib

from zsgen.core import artifacts, errors

RECORD = "zsgen.json"


def write(directory: pathlib.Path, kind: str, fingerprint: str) -> None:
  """Notes a tokenizer's kind and fingerprint, after its files."""
  directory.mkdir(parents=True, exist_ok=True)
  record = {"kind": kind, "fingerprint": fingerprint}
  artifacts.write_json(directory / RECORD, record)


def read(directory: pathlib.Path) -> dict[str, str]:
  """The fields `kind` and `fingerprint`.

  Raises:
    InputError: no tokenizer was saved there, or the record is damaged.
  """
  if not (directory / RECORD).is_file():
    raise errors.InputError(
        f"{directory}: no tokenizer was saved there ({RECORD} is missing)."
    )
  record = artifacts.read_json(directory / RECORD)
  if not isinstance(record, dict) or set(record) != {"kind", "fingerprint"}:
    raise damaged(directory)
  return record


def damaged(directory: pathlib.Path) -> errors.InputError:
  """The error of a saved tokenizer that is not what was saved."""
  return errors.InputError(
      f"{directory}: is not the tokenizer that was saved. Delete"
      f" {directory.parent} to have it made again."
  )
