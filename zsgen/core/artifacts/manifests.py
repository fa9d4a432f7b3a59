"""The manifest of an artifact: what made it, its files, a digest of itself.

All kinds of artifacts have the same fields:

  format   the version of this layout; a missing one is an older layout
  kind     a key of `FIELDS`
  made_by  all that decides the content; the directory's name hashes it
  files    length and SHA-256 of each file, unless the files still grow
  digest   of all other fields
"""

from collections.abc import Iterator, Mapping
import json
import pathlib
from typing import Any

from zsgen.core import errors
from zsgen.core.artifacts import (
    copies,
    hashing,
    naming,
    provenance,
    reading,
    sealing,
)
from zsgen.core.artifacts import files as files_lib
from zsgen.core.artifacts.naming import MANIFEST

# The version of the layout; readers upgrade older ones.
FORMAT = 2
# What the manifest of each kind of artifact has beside `kind`.
FIELDS = {
    "store": ("made_by", "files", "suite", "heldout", "counts", "sources"),
    "embeddings": ("made_by", "files", "shape"),
    "scores": ("made_by", "files", "store", "count"),
    "order": ("made_by", "files", "store", "count", "statistics"),
    "segment": ("made_by", "files", "store", "count", "fingerprint"),
    "evaluation": ("made_by", "files", "store"),
    "run": ("made_by", "store", "order", "batch_size", "steps"),
    "population": ("made_by",),
    "rows": ("made_by", "files", "sources", "bad_rows"),
    "export": ("made_by", "files"),
}
# Kinds that grow after their manifest is written: each process that trains them
# is appended to their provenance. All others have that of their writer.
GROWING = ("run", "population")
_ARTICLES = {
    "store": "a",
    "embeddings": "some",
    "scores": "some",
    "run": "a",
    "rows": "some",
}


def write_manifest(
    path: pathlib.Path,
    manifest: Mapping[str, Any],
    mesh: Mapping[str, int] | None = None,
) -> None:
  """Writes the manifest of an artifact and, next to it, its provenance.

  Artifacts that grow get theirs by `add_provenance`, once for each process that
  trains them.

  Args:
    path: the artifact's directory, which has all of its files.
    manifest: `kind`, and the fields that this kind requires. If it requires
      `files`, they are described here unless they are given.
    mesh: sizes of the axes of the devices that computed the artifact, if any.
  """
  content = {**manifest, "format": FORMAT}
  if "files" in FIELDS[content["kind"]] and "files" not in content:
    files = files_lib.describe_files(path)
    for name in (MANIFEST, provenance.PROVENANCE):
      files.pop(name, None)  # They are about to be replaced.
    content["files"] = files
  content = json.loads(json.dumps(content, allow_nan=False))
  if content["kind"] not in GROWING:
    provenance.write(path, content["made_by"], mesh)
  sealing.write_sealed(path / MANIFEST, content)


def read_provenance(path: pathlib.Path) -> list[dict[str, Any]]:
  """Returns the processes that wrote an artifact; see `provenance.read`.

  Raises:
    InputError: its manifest or its provenance is damaged.
  """
  return provenance.read(path, read_manifest(path)["made_by"])


def add_provenance(
    path: pathlib.Path, mesh: Mapping[str, int], population: str = ""
) -> None:
  """Appends this process to those that worked on an artifact.

  Args:
    path: its directory, which has a manifest.
    mesh: sizes of the axes of the devices that it uses.
    population: the population that the artifact, a run, is a member of.

  Raises:
    InputError: its manifest or its provenance is damaged.
  """
  recipe = read_manifest(path)["made_by"]
  earlier = provenance.read(path, recipe)
  provenance.write(path, recipe, mesh, earlier, population)


def has_digest(manifest: Mapping[str, Any]) -> bool:
  """Returns whether a manifest has a digest; older versions wrote none."""
  return sealing.DIGEST in manifest


def read_manifest(path: pathlib.Path, kind: str = "") -> dict[str, Any]:
  """Reads the manifest of an artifact and checks its digest and its name.

  Args:
    path: its directory.
    kind: the required kind, a value of `SECTIONS`; by default any of them.

  Returns:
    Its fields, in the current layout. If they have no digest, an older version
    wrote them.

  Raises:
    InputError: the manifest is missing, is of another kind or a newer version,
      lacks a field or was changed, or the directory has the name of another
      artifact.
  """
  manifest = _read_checked(path, kind)
  _check_name(path, manifest)
  return manifest


def _read_checked(path: pathlib.Path, kind: str) -> dict[str, Any]:
  """Returns the checked manifest, whatever the directory's name is."""
  expected = kind or naming.SECTIONS.get(path.resolve().parent.name, "artifact")
  copies.refresh(path)
  if not path.is_dir():
    raise errors.InputError(
        f"{path}: there is no such directory, so there is no finished"
        f" {expected}. Check the path."
    )
  advice = naming.advise(path, kind)
  if not (path / MANIFEST).is_file():
    raise errors.InputError(
        f"{path}: has no {MANIFEST}. It is not a finished {expected}, or it is"
        f" damaged; {advice}."
    )
  manifest = reading.parse_json(path / MANIFEST, advice)
  return check_fields(path / MANIFEST, manifest, kind, advice)


def check_fields(
    file: pathlib.Path, manifest: Any, kind: str, advice: str
) -> dict[str, Any]:
  """Checks what was read, and returns it in the current layout.

  Args:
    file: the manifest.
    manifest: its content.
    kind: the required kind, or "".
    advice: what to do about damage, as half a sentence.

  Raises:
    InputError: see `read_manifest`.
  """
  fields = manifest if isinstance(manifest, dict) else {}
  try:
    sealing.unseal(fields)
  except ValueError as error:
    raise errors.InputError(
        f"{file}: was changed or is damaged ({error}); {advice}."
    ) from error
  fields = _upgrade(file, fields, advice)
  actual = kind_of(fields)
  if not actual or (kind and actual != kind):
    raise errors.InputError(
        f"{file}: is not the manifest of {_ARTICLES.get(kind, 'an')}"
        f" {kind or 'artifact'}. Check the path."
    )
  missing = [field for field in FIELDS[actual] if field not in fields]
  if missing or not isinstance(fields["made_by"], dict):
    raise errors.InputError(
        f"{file}: the field {(missing or ['made_by'])[0]} is missing. The file"
        f" was changed, is damaged, or was written by an older zsgen; {advice}."
    )
  return fields


def _upgrade(
    file: pathlib.Path, fields: dict[str, Any], advice: str
) -> dict[str, Any]:
  """Returns the fields of a manifest in the current layout.

  Raises:
    InputError: a newer version wrote it, or its digest was removed.
  """
  version = fields.get("format")
  if version is None:
    return _upgrade_first(file.parent, fields)
  if version != FORMAT:
    raise errors.InputError(
        f"{file}: has format {version!r}, but this version reads formats up to"
        f" {FORMAT}. Use the version of zsgen that wrote it, or {advice}."
    )
  if not has_digest(fields):
    raise errors.InputError(
        f"{file}: was changed or is damaged (it has no digest); {advice}."
    )
  return fields


def _upgrade_first(
    path: pathlib.Path, fields: dict[str, Any]
) -> dict[str, Any]:
  """Upgrades a manifest without a format.

  Embeddings had no field `files`, and at first no kind; other artifacts had the
  SHA-256 alone of each file.
  """
  fields = dict(fields)
  if {"made_by", "sha256", "shape"} <= fields.keys():
    fields.setdefault("kind", "embeddings")
    vectors = sorted(file.name for file in path.glob("vectors.np[yz]"))
    fields["files"] = {
        name: fields["sha256"] for name in vectors[:1] or ["vectors.npz"]
    }
  files = fields.get("files")
  if isinstance(files, dict):
    fields["files"] = {
        name: {"sha256": written} if isinstance(written, str) else written
        for name, written in files.items()
    }
  return fields


def kind_of(manifest: Mapping[str, Any]) -> str:
  """Returns the kind of artifact of a manifest; "" if it is unknown."""
  kind = manifest.get("kind")
  return kind if isinstance(kind, str) and kind in FIELDS else ""


def _check_name(path: pathlib.Path, manifest: Mapping[str, Any]) -> None:
  """Raises InputError if a directory has the name of another artifact."""
  actual = path.resolve().name
  expected = naming.expected_name(actual, manifest["made_by"])
  if actual != expected:
    kind = kind_of(manifest)
    raise errors.InputError(
        f"{path}: does not match its name. According to its {MANIFEST}, this"
        f" {kind} is {expected}. If it was renamed, rename it back; otherwise"
        f" {naming.advise(path, kind)}."
    )


def check_made_by(
    path: pathlib.Path, recipe: Mapping[str, Any]
) -> dict[str, Any]:
  """Reads the manifest at `path` and compares its recipe with the expected one.

  Args:
    path: the artifact's directory.
    recipe: everything that determines its content.

  Returns:
    The manifest.

  Raises:
    InputError: names a field that differs; or see `read_manifest`.
  """
  manifest = _read_checked(path, "")
  for field, written, expected in differences(manifest["made_by"], recipe):
    raise errors.InputError(
        f"{path / MANIFEST}: field made_by{field} is {written!r}, but this"
        f" config makes {expected!r}. Use another workdir, or"
        f" {naming.advise(path)}."
    )
  _check_name(path, manifest)
  return manifest


def differences(
    written: Any, expected: Any, field: str = ""
) -> Iterator[tuple[str, Any, Any]]:
  """Yields the fields in which two values differ.

  Args:
    written: a JSON value.
    expected: another one.
    field: the name of both.

  Yields:
    The field, as a dotted name after that of both, and its value in each; None
    where it is absent.
  """
  if isinstance(written, Mapping) and isinstance(expected, Mapping):
    for key in sorted({*written, *expected}):
      pair = written.get(key), expected.get(key)
      yield from differences(*pair, f"{field}.{key}")
  elif hashing.digest(written) != hashing.digest(
      expected
  ):  # A tuple is a list in JSON.
    yield field, written, expected
