"""Artifacts of a workdir in a bucket, and their local copies.

An artifact is written locally and uploaded, its manifest last: the manifest's
appearance is the commit. An artifact of the bucket is downloaded once, compared
with the hashes in its manifest, and used as long as the bucket has the same
manifest. In a local workdir, none of this happens.
"""

import json
import os
import pathlib
import shutil
import uuid

from zsgen.core import errors, storage
from zsgen.core.artifacts import files as files_lib
from zsgen.core.artifacts.naming import MANIFEST

# Directories of artifacts that grow, which `train.run_copies` copies.
_GROWING = ("runs", "populations")
# Copies that this process has compared with the bucket.
_compared: set[pathlib.Path] = set()


def exists(path: pathlib.Path) -> bool:
  """Returns whether there is an artifact, which then is at the path.

  Of an artifact in a bucket, there is a local copy then; one whose upload was
  interrupted is uploaded first.

  Args:
    path: its directory.

  Raises:
    InputError: the bucket cannot be used, or the artifact in it is damaged.
  """
  mounted = storage.find(path)
  if mounted is None:
    return path.exists()
  manifest = mounted.bucket.read(f"{mounted.name}/{MANIFEST}")
  if path.parent.name in _GROWING:
    path.mkdir(parents=True, exist_ok=True)
    return manifest is not None
  if manifest is None:
    if not (path / MANIFEST).is_file():
      return False
    publish(path)
  elif not _is_current(path, manifest):
    _download(path, mounted, manifest)
  _compared.add(path)
  return True


def refresh(path: pathlib.Path) -> None:
  """Makes or updates the copy of an artifact, once in this process.

  Args:
    path: its directory; nothing is done for one of a local workdir or a run's.

  Raises:
    InputError: see `exists`.
  """
  mounted = storage.find(path)
  if mounted is None or path in _compared or path.parent.name in _GROWING:
    return
  exists(path)


def publish(path: pathlib.Path, replace: bool = False) -> None:
  """Uploads an artifact that was written to a mounted workdir.

  Args:
    path: its directory; nothing is done for one of a local workdir.
    replace: whether to delete an artifact of the same name first. Otherwise it
      is kept: equal names have equal content.

  Raises:
    InputError: the bucket cannot be used.
  """
  mounted = storage.find(path)
  if mounted is None:
    return
  bucket, name = mounted
  if replace:
    bucket.delete([f"{name}/{MANIFEST}"])  # From now on it is incomplete.
    bucket.delete(bucket.list(name))
  elif bucket.read(f"{name}/{MANIFEST}") is not None:
    return
  files = sorted(file for file in path.rglob("*") if file.is_file())
  objects = {file.relative_to(path).as_posix(): file for file in files}
  last = objects.pop(MANIFEST)
  bucket.upload((file, f"{name}/{key}") for key, file in objects.items())
  bucket.upload([(last, f"{name}/{MANIFEST}")])


def _is_current(path: pathlib.Path, manifest: bytes) -> bool:
  """Returns whether a copy has this manifest."""
  try:
    return (path / MANIFEST).read_bytes() == manifest
  except OSError:
    return False


def _download(
    path: pathlib.Path, mounted: storage.Mounted, manifest: bytes
) -> None:
  """Replaces the copy of an artifact by the bucket's, and checks its hashes."""
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")
  try:
    bucket, name = mounted
    bucket.download(
        (entry, temporary / entry.removeprefix(f"{name}/"))
        for entry in bucket.list(name)
    )
    (temporary / MANIFEST).write_bytes(manifest)
    _check(temporary, mounted, manifest)
    if path.exists():
      os.replace(path, replaced := path.with_name(f"{temporary.name}.old"))
      shutil.rmtree(replaced, ignore_errors=True)
    try:
      os.replace(temporary, path)
    except OSError:  # Another process was faster.
      if not _is_current(path, manifest):
        raise
  finally:
    shutil.rmtree(temporary, ignore_errors=True)


def _check(
    copy: pathlib.Path, mounted: storage.Mounted, manifest: bytes
) -> None:
  """Raises InputError if downloaded files are not those of the manifest."""
  try:
    written = json.loads(manifest)["files"]
    for problem in files_lib.file_problems(copy, written):
      raise ValueError(problem.removeprefix(f"{copy}/").partition(";")[0])
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    raise errors.InputError(
        f"{mounted.url}: is damaged in the bucket ({error}). Delete it (gcloud"
        f" storage rm -r {mounted.url}) to have it made again."
    ) from error
