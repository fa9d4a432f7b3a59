"""Paths in buckets that are only read: reports, `verify`, runs to start from."""

import os
import pathlib
from typing import NamedTuple

from zsgen.core import artifacts, errors, storage
from zsgen.train import record_digests, run_copies

# Artifacts that are copied although a path names only what they are in.
_READ = ("runs", "evaluations")
# A workdir's directory of sweeps, whose notes are copied when they are read.
_SWEEPS = "sweeps"
_SWEEP = "sweep.json"


def locate(path: str, location: str) -> pathlib.Path:
  """Returns the local directory of what is at a path; nothing is copied.

  Args:
    path: an artifact, a sweep, a section of a workdir, or a workdir. A local
      one may begin with ~.
    location: the option with this path, for messages.

  Raises:
    InputError: it is a URL that is not of the form gs://BUCKET/PATH.
  """
  if not storage.is_url(path):
    return pathlib.Path(path).expanduser()
  return _mount(storage.check_workdir(path, location))


def open_run(path: str, location: str) -> pathlib.Path:
  """Returns the directory of a run that an option names.

  Of one in a bucket, it has copies of the files that tell what the run is, and
  whether it is finished. Its checkpoints are read from the bucket.

  Args:
    path: the run's directory, which need not exist, or its URL.
    location: the option, for messages.

  Raises:
    InputError: there is no such run in the bucket, or the bucket cannot be
      used.
  """
  run = locate(path, location)
  run_copies.pull_head(run, record_digests.RESULT)
  if storage.find(run) and not (run / artifacts.MANIFEST).is_file():
    raise errors.InputError(
        f"{location} names {path}, where no run is: there is no"
        f" {artifacts.MANIFEST}. Give a run's URL, gs://BUCKET/PATH/runs/NAME."
    )
  return run


def open_copy(
    path: str | os.PathLike[str],
    parent: pathlib.Path | None = None,
    whole: bool = False,
) -> pathlib.Path:
  """Returns the local copy of what is at a path in a bucket.

  Stores and orders that runs refer to are copied when they are first read, and
  so are the notes and the runs of a sweep.

  Args:
    path: an artifact, a sweep, a section of a workdir, or a workdir. One that
      is not a URL is returned as it is.
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
  target = _mount(url, parent)
  contents = _contents(target)
  if not contents.artifacts and not contents.has_sweeps:
    if sweeps := _open_sweeps(url, parent):
      return sweeps
    raise errors.InputError(
        f"{url}: there is no run and no other artifact. Check the path; the"
        " last part of a run's, or a sweep's, is its name, as in"
        " gs://BUCKET/PATH/runs/NAME."
    )
  for artifact in contents.artifacts:
    if artifact.parent.name == "runs":
      run_copies.pull(artifact)
    elif artifact.parent.name == "populations":
      artifacts.fetch(artifact / artifacts.MANIFEST)
    elif whole or artifact == target or artifact.parent.name in _READ:
      artifacts.exists(artifact)
  for export in contents.exports if whole else ():
    artifacts.exists(export)
  for file in contents.files if whole else ():
    artifacts.fetch(file)
  return target


def _open_sweeps(url: str, parent: pathlib.Path | None) -> pathlib.Path | None:
  """Returns the local directory of all sweeps of a workdir; None for others.

  A workdir may be called "sweeps", too: only the bucket's objects tell.
  """
  workdir, _, section = url.rpartition("/")
  if section != _SWEEPS or workdir.endswith("/"):
    return None  # A bucket may have this name, too.
  target = _join(workdir, section, parent)
  names = [
      child / _SWEEP
      for child in storage.children(target)
      if artifacts.is_hashed(child.name)
  ]
  sweeps = [name for name in names if artifacts.fetch(name)]
  return target if sweeps else None


def _mount(url: str, parent: pathlib.Path | None = None) -> pathlib.Path:
  """Returns the local directory of a URL; see `open_copy` for `parent`."""
  return _join(*_split(url), parent)


def _join(workdir: str, name: str, parent: pathlib.Path | None) -> pathlib.Path:
  """Returns the local directory of a name in a workdir, which is mounted."""
  # Not the copies that a run on this host may be writing.
  return storage.mount(workdir, parent or storage.cache() / "read") / name


def _split(url: str) -> tuple[str, str]:
  """Returns the workdir of a path, and the rest of the path; "" if none."""
  scheme, _, path = url.partition("://")
  parts = path.split("/")
  for index in reversed(range(1, len(parts))):
    # A workdir, too, may be in a directory "sweeps", but its name has no hash.
    is_sweep = parts[index] == _SWEEPS and any(
        artifacts.is_hashed(name) for name in parts[index + 1 : index + 2]
    )
    if parts[index] in artifacts.SECTIONS or is_sweep:
      workdir = f"{scheme}://{'/'.join(parts[:index])}"
      return workdir, "/".join(parts[index:])
  return url, ""


class _Contents(NamedTuple):
  """What a bucket has at a path.

  Attributes:
    artifacts: local directories of artifacts, ascending.
    exports: those of exports.
    files: local paths of single files next to artifacts: the traces of orders.
    has_sweeps: whether there are sweeps.
  """

  artifacts: list[pathlib.Path]
  exports: list[pathlib.Path]
  files: list[pathlib.Path]
  has_sweeps: bool


def _contents(target: pathlib.Path) -> _Contents:
  """Returns what the bucket has at a path."""
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
  return _Contents(
      sorted(matches),
      sorted(exports),
      sorted(root.joinpath(*entry) for entry in inside if len(entry) == 2),
      has_sweeps=any(entry[0] == _SWEEPS for entry in entries),
  )
