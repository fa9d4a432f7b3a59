"""Paths in buckets that are only read: reports, `load_run`, `verify`."""

import os
import pathlib

from zsgen.core import artifacts, errors, storage
from zsgen.train import run_copies

# Artifacts that are copied although a path names only what they are in.
_READ = ("runs", "evaluations")


def open_copy(
    path: str | os.PathLike[str],
    parent: pathlib.Path | None = None,
    whole: bool = False,
) -> pathlib.Path:
  """Returns the local copy of what is at a path in a bucket.

  Stores and orders that runs refer to are copied when they are first read.

  Args:
    path: an artifact, a section of a workdir, or a workdir. One that is not a
      URL is returned as it is.
    parent: the directory of the copy; by default, in the user's cache.
    whole: whether to copy all artifacts at the path, not only runs and
      evaluations.

  Raises:
    InputError: there is nothing of the kind, or the bucket cannot be used.
  """
  text = os.fspath(path)
  if not storage.is_url(text):
    return pathlib.Path(text)
  url = storage.check_workdir(text, "the path")
  workdir, name = _split(url)
  # Not the copies that a run on this host may be writing.
  local = storage.mount(workdir, parent or storage.cache() / "read")
  target = local / name
  matches, exports = _artifacts(target)
  if not matches:
    raise errors.InputError(
        f"{url}: there is no run and no other artifact. Check the path; the"
        " last part of a run's is its name, as in gs://BUCKET/PATH/runs/NAME."
    )
  for artifact in matches:
    if artifact.parent.name == "runs":
      run_copies.pull(artifact)
    elif artifact.parent.name == "populations":
      artifacts.fetch(artifact / artifacts.MANIFEST)
    elif whole or artifact == target or artifact.parent.name in _READ:
      artifacts.exists(artifact)
  for export in exports if whole else ():
    artifacts.exists(export)
  return target


def _split(url: str) -> tuple[str, str]:
  """Returns the workdir of a path, and the rest of the path; "" if none."""
  scheme, _, path = url.partition("://")
  parts = path.split("/")
  for index in range(1, len(parts)):
    if parts[index] in artifacts.SECTIONS:
      workdir = f"{scheme}://{'/'.join(parts[:index])}"
      return workdir, "/".join(parts[index:])
  return url, ""


def _artifacts(
    target: pathlib.Path,
) -> tuple[list[pathlib.Path], list[pathlib.Path]]:
  """Returns the local directories of artifacts at a path, and of exports."""
  mounted = storage.find(target)
  assert mounted is not None, "the path is mounted"
  bucket, name = mounted
  root = target
  for _ in name.split("/") if name else ():
    root = root.parent
  entries = [entry.split("/") for entry in bucket.list(name)]
  inside = [entry for entry in entries if entry[0] in artifacts.SECTIONS]
  matches = {root.joinpath(*entry[:2]) for entry in inside if entry[2:]}
  exports = {
      root.joinpath(*entry[:3])
      for entry in inside
      if entry[3:] == [artifacts.MANIFEST] and entry[2].startswith("export")
  }
  return sorted(matches), sorted(exports)
