"""Artifacts: directories that a stage writes once and never changes.

An artifact is written beside its final place and renamed when it is whole, so
that a directory with the final name is complete by construction. Its
`manifest.json` says what made it; its name ends in a hash of that.
"""

from collections.abc import Iterator, Mapping
import contextlib
import hashlib
import json
import os
import pathlib
import shutil
from typing import Any
import uuid

from zsgen import errors

MANIFEST = "manifest.json"
# What the manifest of each kind of artifact says.
_FIELDS = {
    "store": ("made_by", "suite", "heldout", "counts", "sources", "files"),
    "order": ("made_by", "store", "files", "count", "statistics"),
    "run": ("made_by", "store", "order", "batch_size", "steps"),
}


def digest(value: Any) -> str:
  """SHA-256 (hex) of a JSON-able value, the same on every machine."""
  text = json.dumps(value, sort_keys=True, separators=(",", ":"))
  return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: pathlib.Path) -> str:
  """SHA-256 (hex) of a file's bytes."""
  with open(path, "rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()


def name(stem: str, made_by: Mapping[str, Any]) -> str:
  """Name of an artifact: the stem and a hash of what makes it."""
  return f"{stem}-{digest(made_by)[:10]}"


@contextlib.contextmanager
def writing(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """Yields a directory to write to; it becomes `path` if nothing raises.

  Where another process made `path` in the meantime, its artifact stays: what
  has one name has one content.
  """
  path.parent.mkdir(parents=True, exist_ok=True)
  beside = _beside(path)
  beside.mkdir()
  try:
    yield beside
    try:
      os.replace(beside, path)
    except OSError:
      if not path.is_dir():
        raise
  finally:
    shutil.rmtree(beside, ignore_errors=True)


def _beside(path: pathlib.Path) -> pathlib.Path:
  """A name beside `path` that no other process or host takes."""
  return path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")


def write_json(path: pathlib.Path, value: Any) -> None:
  """Writes JSON beside `path` and renames it: whole or not there."""
  text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False)
  write_bytes(path, (text + "\n").encode())


def write_bytes(path: pathlib.Path, data: bytes) -> None:
  """Writes beside `path` and renames it: whole, or as it was."""
  beside = _beside(path)
  try:
    beside.write_bytes(data)
    os.replace(beside, path)
  finally:
    beside.unlink(missing_ok=True)  # There only where the disk is full.


def read_json(path: pathlib.Path) -> Any:
  """Reads JSON that this project wrote; a damaged file is an InputError."""
  try:
    return json.loads(path.read_text("utf-8"))
  except (OSError, ValueError, RecursionError) as error:
    raise errors.InputError(
        f"{path}: cannot be read as JSON ({error}). The artifact is damaged or"
        " not one of zsgen's; delete its directory to have it made again."
    ) from error


def read_manifest(path: pathlib.Path, kind: str = "") -> dict[str, Any]:
  """The manifest of an artifact.

  Args:
    path: its directory.
    kind: what it must be: "store", "order" or "run"; any of them by default.

  Raises:
    InputError: it is not there, is of another kind or lacks a field.
  """
  if not (path / MANIFEST).is_file():
    raise errors.InputError(
        f"{path}: there is no {MANIFEST}: it is no finished"
        f" {kind or 'store, order or run'}, or is damaged. Check the path, or"
        " delete the directory to have it made again."
    )
  manifest = read_json(path / MANIFEST)
  found = manifest.get("kind") if isinstance(manifest, dict) else None
  if found not in list(_FIELDS) or (kind and found != kind):
    raise errors.InputError(
        f"{path / MANIFEST}: is not that of a {kind or 'store, order or run'}."
    )
  missing = [field for field in _FIELDS[found] if field not in manifest]
  if missing:
    raise errors.InputError(
        f"{path / MANIFEST}: the field {missing[0]} is missing: it was changed"
        " or is damaged. Delete the directory to have it made again."
    )
  return manifest


def check_made_by(path: pathlib.Path, made_by: Mapping[str, Any]) -> dict:
  """Returns the manifest at `path`; raises naming a field that differs."""
  manifest = read_json(path / MANIFEST)
  found = manifest.get("made_by", {}) if isinstance(manifest, dict) else {}
  for field in sorted({*found, *made_by}):
    if found.get(field) != made_by.get(field):
      raise errors.InputError(
          f"{path / MANIFEST}: field made_by.{field} is"
          f" {found.get(field)!r}, but this config makes"
          f" {made_by.get(field)!r}. Use another workdir, or delete the"
          " directory to have it made again."
      )
  return manifest
