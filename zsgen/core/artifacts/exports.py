"""Checks of directories that may be an export of this project."""

from collections.abc import Iterable
import json
import pathlib
from typing import Any

from zsgen.core import errors
from zsgen.core.artifacts import manifests, provenance, recorded
from zsgen.core.artifacts.naming import MANIFEST

# Files of an export that its manifest does not list.
UNLISTED = (MANIFEST, provenance.PROVENANCE, recorded.RECORDS)


def digest_used(
    directory: pathlib.Path, names: Iterable[str]
) -> dict[str, str]:
  """Returns the SHA-256 (hex) of files of a model, adapter or tokenizer.

  Large files are not hashed if they have a valid record; see `recorded`.

  Args:
    directory: the files, whoever wrote them.
    names: of the files that are used; all of them exist.

  Raises:
    InputError: an export's manifest is there, and a file does not match it; or
      the records are damaged.
  """
  digests = recorded.file_digests(directory, names)
  manifest = _read_manifest(directory)
  for name, written in manifest.get("files", {}).items():
    if digests.get(name, written["sha256"]) != written["sha256"]:
      raise errors.InputError(
          f"{directory / name}: is not what zsgen wrote: it is damaged or was"
          " changed. Export or convert it again; or, if it was changed on"
          f" purpose, delete {directory / MANIFEST}, by which it is checked."
      )
  return digests


def _read_manifest(directory: pathlib.Path) -> dict[str, Any]:
  """Returns an export's manifest; {} in directories of other programs."""
  path = directory / MANIFEST
  try:
    manifest = json.loads(path.read_bytes())
  except (OSError, ValueError, RecursionError):
    return {}
  if not isinstance(manifest, dict) or manifest.get("kind") != "export":
    return {}
  advice = f"export it again, or delete {path}: then nothing is checked"
  return manifests.check_fields(path, manifest, "export", advice)
