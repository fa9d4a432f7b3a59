"""Artifacts: directories that a stage writes once and never changes.

An artifact is written beside its final place and renamed when it is whole, so
that a directory with the final name is complete by construction. Its
`manifest.json` says what made it and carries a digest of its own content; the
directory's name ends in a hash of what made it. Both are checked whenever a
manifest is read.
"""

from collections.abc import Iterable, Iterator, Mapping
import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import re
import shutil
from typing import Any
import uuid

import numpy as np

from zsgen.core import errors

MANIFEST = "manifest.json"
# A workdir's directories of artifacts, and the kind that each contains.
SECTIONS = {
    "stores": "store",
    "embeddings": "embeddings",
    "orders": "order",
    "evaluations": "evaluation",
    "runs": "run",
    "populations": "population",
    "scratch": "rows",
}
# What the manifest of each kind of artifact says.
_FIELDS = {
    "store": ("made_by", "suite", "heldout", "counts", "sources", "files"),
    "embeddings": ("made_by", "sha256", "shape"),
    "order": ("made_by", "store", "files", "count", "statistics"),
    "evaluation": ("made_by", "store", "files"),
    "run": ("made_by", "store", "order", "batch_size", "steps"),
    "population": ("made_by",),
    "rows": ("made_by", "sources", "bad_rows", "files"),
    "export": ("made_by", "files"),
}
_ARTICLES = {"store": "a", "embeddings": "some", "run": "a", "rows": "some"}
# The field with the digest of all other fields.
_DIGEST = "digest"
# The hash at the end of a name that `name` made.
_HASHED = re.compile(r"-([0-9a-f]{10})$")


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
def writing(path: pathlib.Path, over: bool = False) -> Iterator[pathlib.Path]:
  """Yields a directory to write to; it becomes `path` if nothing raises.

  Where another process made `path` in the meantime, its artifact stays: what
  has one name has one content.

  Args:
    path: the final directory.
    over: whether to replace an existing directory as a whole.
  """
  path.parent.mkdir(parents=True, exist_ok=True)
  beside, before = _beside(path), _beside(path)
  beside.mkdir()
  try:
    with _held(beside):
      yield beside
      if over and path.is_dir():
        os.replace(path, before)
      try:
        os.replace(beside, path)
      except OSError:
        if not path.is_dir():
          raise
  finally:
    shutil.rmtree(beside, ignore_errors=True)
    shutil.rmtree(before, ignore_errors=True)


def remove_leftovers(path: pathlib.Path) -> None:
  """Deletes what killed processes left behind in `writing(path)`.

  If the file system has locks, a directory that another process is writing is
  kept.
  """
  left = re.compile(rf"\.+{re.escape(path.name)}(\.[0-9a-f]{{12}})+")
  for beside in sorted(path.parent.glob(".*")):
    if left.fullmatch(beside.name) and beside.is_dir():
      with _held(beside) as is_free:
        if is_free:
          shutil.rmtree(beside, ignore_errors=True)


@contextlib.contextmanager
def _held(directory: pathlib.Path) -> Iterator[bool]:
  """Locks a directory; yields False if it is locked or cannot be."""
  handle = os.open(directory, os.O_RDONLY)
  try:
    yield _locks(handle)
  finally:
    os.close(handle)


def _locks(handle: int) -> bool:
  try:
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except OSError:  # Held by another, or a file system that has no locks.
    return False
  return True


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
  return _parse(path, "delete its directory, and it is made again")


def _parse(path: pathlib.Path, advice: str) -> Any:
  """Reads JSON; if that fails, raises an InputError that ends in advice."""
  try:
    return json.loads(path.read_text("utf-8"))
  except (OSError, ValueError, RecursionError) as error:
    raise errors.InputError(
        f"{path}: cannot be read as JSON ({error}). The artifact is damaged or"
        f" was not made by zsgen; {advice}."
    ) from error


def load_array(path: pathlib.Path, mmap_mode: Any = None) -> np.ndarray:
  """Reads a NumPy file that this project wrote.

  Args:
    path: the file.
    mmap_mode: as `numpy.load` takes it.

  Raises:
    InputError: the file is missing or damaged.
  """
  try:
    return np.load(path, mmap_mode, allow_pickle=False)
  except Exception as error:  # A damaged header raises a dozen kinds.
    raise errors.InputError(
        f"{path}: cannot be read as an array ({error}). It is damaged or"
        f" missing; {advise(path.parent)}."
    ) from error


def seal(value: Mapping[str, Any], owner: str = "") -> dict[str, Any]:
  """Returns a value with a field `digest`, of its other fields and the owner.

  Args:
    value: fields as JSON values; an existing digest is replaced.
    owner: what the fields belong to, such as a run. It is not written, but the
      same fields of another owner have another digest.
  """
  fields = {name: field for name, field in value.items() if name != _DIGEST}
  return {**fields, _DIGEST: digest([owner, fields])}


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
  if _DIGEST in value and value != seal(value, owner):
    raise ValueError(
        "its fields do not match the digest that was written with them"
    )
  return {name: field for name, field in value.items() if name != _DIGEST}


def write_sealed(
    path: pathlib.Path, value: Mapping[str, Any], owner: str = ""
) -> None:
  """Writes a value with its digest (see `seal`), in full or not at all."""
  write_json(path, seal(value, owner))


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
    return unseal(read_json(path), owner)
  except (ValueError, errors.InputError) as error:
    reason = error.__cause__ or error
    raise errors.InputError(
        f"{path}: is damaged, was changed or was copied here ({reason})."
        f" {advice}"
    ) from error


def write_manifest(path: pathlib.Path, manifest: Mapping[str, Any]) -> None:
  """Writes the manifest of an artifact, with a digest of its content.

  Args:
    path: the artifact's directory.
    manifest: `kind`, and the fields that this kind requires; an existing digest
      is replaced.
  """
  content = json.loads(json.dumps(manifest, allow_nan=False))
  write_sealed(path / MANIFEST, content)


def has_digest(manifest: Mapping[str, Any]) -> bool:
  """Returns whether a manifest has a digest; an older zsgen wrote none."""
  return _DIGEST in manifest


def read_manifest(path: pathlib.Path, kind: str = "") -> dict[str, Any]:
  """Reads the manifest of an artifact and checks its digest and its name.

  Args:
    path: its directory.
    kind: the required kind, a value of `SECTIONS`; by default any of them.

  Returns:
    Its fields. If they have no digest, an older zsgen wrote them.

  Raises:
    InputError: the manifest is missing, is of another kind, lacks a field or
      was changed, or the directory has the name of another artifact.
  """
  manifest = _read_checked(path, kind)
  _check_name(path, manifest)
  return manifest


def _read_checked(path: pathlib.Path, kind: str) -> dict[str, Any]:
  """Returns the checked manifest, whatever the directory's name is."""
  wanted = kind or SECTIONS.get(path.resolve().parent.name, "artifact")
  if not path.is_dir():
    raise errors.InputError(
        f"{path}: there is no such directory, so there is no finished {wanted}."
        " Check the path."
    )
  advice = advise(path, kind)
  if not (path / MANIFEST).is_file():
    raise errors.InputError(
        f"{path}: has no {MANIFEST}. It is not a finished {wanted}, or it is"
        f" damaged; {advice}."
    )
  manifest = _parse(path / MANIFEST, advice)
  _check_fields(path / MANIFEST, manifest, kind, advice)
  return manifest


def _check_fields(
    file: pathlib.Path, manifest: Any, kind: str, advice: str
) -> None:
  """Raises InputError for a manifest of another kind, or a changed one."""
  known = manifest if isinstance(manifest, dict) else {}
  try:
    unseal(known)
  except ValueError as error:
    raise errors.InputError(
        f"{file}: was changed or is damaged ({error}); {advice}."
    ) from error
  actual = kind_of(known)
  if not actual or (kind and actual != kind):
    raise errors.InputError(
        f"{file}: is not the manifest of {_ARTICLES.get(kind, 'an')}"
        f" {kind or 'artifact'}. Check the path."
    )
  missing = [field for field in _FIELDS[actual] if field not in known]
  if missing or not isinstance(known["made_by"], dict):
    raise errors.InputError(
        f"{file}: the field {(missing or ['made_by'])[0]} is missing. The file"
        f" was changed, is damaged, or was written by an older zsgen; {advice}."
    )


def kind_of(manifest: Mapping[str, Any]) -> str:
  """Returns the kind of artifact of a manifest; "" if it is unknown."""
  kind = manifest.get("kind")
  if kind is None and {*_FIELDS["embeddings"]} <= {*manifest}:
    return "embeddings"  # An older zsgen did not name it.
  return kind if isinstance(kind, str) and kind in _FIELDS else ""


def _check_name(path: pathlib.Path, manifest: Mapping[str, Any]) -> None:
  """Raises InputError if a directory has the name of another artifact."""
  actual = path.resolve().name
  if not (hashed := _HASHED.search(actual)):
    return  # Its name was chosen by a user.
  right = name(actual[: hashed.start()], manifest["made_by"])
  if actual != right:
    kind = kind_of(manifest)
    raise errors.InputError(
        f"{path}: does not match its name. According to its {MANIFEST}, this"
        f" {kind} is {right}. If it was renamed, rename it back; otherwise"
        f" {advise(path, kind)}."
    )


def is_hashed(directory: str) -> bool:
  """Returns whether a directory's name ends in a hash, as `name` makes it."""
  return _HASHED.search(directory) is not None


def advise(path: pathlib.Path, kind: str = "") -> str:
  """Returns what to do about a damaged artifact, as half a sentence.

  Args:
    path: its directory.
    kind: what it should be; by default, what its parent directory contains.
  """
  actual = path.resolve()
  kind = kind or SECTIONS.get(actual.parent.name, "")
  if kind in ("run", "population"):  # It may hold days of training.
    return (
        f"delete {path / MANIFEST} if it exists: the command that made the"
        f" {kind} writes it again and keeps everything else"
    )
  if actual.parent.parent.name == "runs" and actual.name.startswith("export"):
    return f"delete {path}, and --stage=export makes it again"
  if not kind and not is_hashed(actual.name):
    return "check the path"
  return f"delete {path} to have it made again"


def describe_files(path: pathlib.Path) -> dict[str, str]:
  """Returns the SHA-256 (hex) of all files under a directory, by name."""
  files = sorted(file for file in path.rglob("*") if file.is_file())
  return {
      file.relative_to(path).as_posix(): file_digest(file) for file in files
  }


def file_problems(
    path: pathlib.Path, files: Mapping[str, str]
) -> Iterator[str]:
  """Compares the files of an artifact with their hashes.

  Args:
    path: its directory.
    files: SHA-256 (hex) of each file by its name.

  Yields:
    A sentence for each file that is missing or was changed.
  """
  for file, expected in files.items():
    if not (path / file).is_file():
      yield (
          f"{path / file}: is missing, the artifact is damaged; {advise(path)}."
      )
    elif file_digest(path / file) != expected:
      yield (
          f"{path / file}: is damaged: its SHA-256 is not the one that was"
          f" written; {advise(path)}."
      )


def check_files(path: pathlib.Path, files: Mapping[str, str]) -> None:
  """Raises InputError for the first of `file_problems`."""
  for problem in file_problems(path, files):
    raise errors.InputError(problem)


def digest_used(
    directory: pathlib.Path, names: Iterable[str]
) -> dict[str, str]:
  """SHA-256 (hex) of files of a directory that may be an export of zsgen's.

  Args:
    directory: of a model, an adapter or a tokenizer, whoever wrote it.
    names: of the files that are used; each is there.

  Raises:
    InputError: an export's manifest is there, and a file is not what it says.
  """
  found = {name: file_digest(directory / name) for name in names}
  manifest = _export_manifest(directory)
  for name, expected in manifest.get("files", {}).items():
    if found.get(name, expected) != expected:
      raise errors.InputError(
          f"{directory / name}: is not what --stage=export wrote: it is damaged"
          " or was changed. Export it again; or, if it was changed on purpose,"
          f" delete {directory / MANIFEST}, by which it is checked."
      )
  return found


def _export_manifest(directory: pathlib.Path) -> dict[str, Any]:
  """The manifest of an export; {} in directories of other programs."""
  path = directory / MANIFEST
  try:
    manifest = json.loads(path.read_bytes())
  except (OSError, ValueError, RecursionError):
    return {}
  if not isinstance(manifest, dict) or manifest.get("kind") != "export":
    return {}
  advice = f"export it again, or delete {path}: then nothing is checked"
  _check_fields(path, manifest, "export", advice)
  return manifest


def check_made_by(path: pathlib.Path, made_by: Mapping[str, Any]) -> dict:
  """Reads the manifest at `path` and compares it with what should be there.

  Args:
    path: the artifact's directory.
    made_by: all that decides what is in it.

  Returns:
    The manifest.

  Raises:
    InputError: names a field that differs; or see `read_manifest`.
  """
  manifest = _read_checked(path, "")
  for field, written, expected in _differences(manifest["made_by"], made_by):
    raise errors.InputError(
        f"{path / MANIFEST}: field made_by{field} is {written!r}, but this"
        f" config makes {expected!r}. Use another workdir, or {advise(path)}."
    )
  _check_name(path, manifest)
  return manifest


def _differences(
    written: Any, expected: Any, field: str = ""
) -> Iterator[tuple[str, Any, Any]]:
  """Fields that differ, as dotted names, and both their values."""
  if isinstance(written, Mapping) and isinstance(expected, Mapping):
    for key in sorted({*written, *expected}):
      pair = written.get(key), expected.get(key)
      yield from _differences(*pair, f"{field}.{key}")
  elif digest(written) != digest(expected):  # A tuple is a list in JSON.
    yield field, written, expected
