"""Files in a bucket or on a hub, copied once to a local directory."""

from collections.abc import Mapping
import hashlib
import json
import math
import os
import pathlib
from typing import Any

from zsgen.core import artifacts, errors, paths

_MAGIC = "*?["
# The extra of this package that speaks to a kind of file system.
_EXTRAS = {"gs": "gcs", "hf": "hf"}
# What file systems call the mark of a file's content; the first one counts.
_MARKS = ("etag", "ETag", "blob_id", "md5", "mtime", "created", "LastModified")
# Directories below the path whose files are read.
_DEEPEST = 2


def is_glob(path: str) -> bool:
  """Returns whether a path is a glob pattern."""
  return bool(set(path) & set(_MAGIC))


def copied(path: str, scratch: pathlib.Path) -> pathlib.Path:
  """Copies what a remote path names, unless there is a current copy.

  Args:
    path: a file, a directory (with the directories in it) or a glob, with a
      scheme such as gs://, s3:// or hf://datasets/.
    scratch: the directory to copy to.

  Returns:
    The copy: a file, or a directory.

  Raises:
    InputError: there is no such file, no access to it, or no package that
      speaks to the file system.
  """
  import fsspec

  digest = hashlib.blake2b(path.encode(), digest_size=8).hexdigest()
  target = scratch / "remote" / digest
  try:
    system, root = fsspec.url_to_fs(path, use_listings_cache=False)
    return _copied(system, root, path, target)
  except errors.InputError:
    raise
  except ImportError as error:
    extra = _EXTRAS.get(path.partition("://")[0])
    hint = f" Install it: pip install -e '.[{extra}]'." if extra else ""
    raise errors.InputError(
        f"config.data.path: {path!r} needs a package that is not installed"
        f" ({error}).{hint}"
    ) from error
  except Exception as error:  # Each file system has errors of its own.
    raise errors.InputError(
        f"config.data.path: {path!r} cannot be copied"
        f" ({type(error).__name__}: {error}). Check the path and your access."
    ) from error


def _copied(
    system: Any, root: str, path: str, target: pathlib.Path
) -> pathlib.Path:
  """Copies a file, a tree, or the matches of a glob.

  Args:
    system: a file system of fsspec.
    root: the path in it.
    path: the path as it was given.
    target: the directory to copy to.
  """
  parts = root.rstrip("/").split("/")
  magic = [index for index, part in enumerate(parts) if is_glob(part)]
  is_file = False
  if magic:
    parts, files = parts[: magic[0]], system.glob(root, detail=True)
  elif system.isdir(root):
    files = system.find(root, detail=True)
  elif system.exists(root):
    is_file, files = True, {root: system.info(root)}
    parts = parts[:-1]
  else:
    files = {}
  base = "/".join(parts)
  names = {
      name.removeprefix(base).strip("/"): name
      for name, info in files.items()
      if info["type"] == "file"
  }
  if not names:
    raise errors.InputError(f"config.data.path: {path!r} is not there.")
  depth = math.inf if magic else _DEEPEST
  _copy_all(system, names, files, target, path, depth)
  return target / next(iter(names)) if is_file else target


def _copy_all(
    system: Any,
    names: Mapping[str, str],
    files: Mapping[str, Any],
    target: pathlib.Path,
    path: str,
    depth: float,
) -> None:
  """Copies files, unless the copies are current, and removes all others.

  Those that are too deep to be read are created empty, so that they are
  reported as those in local directories are; see `files`.

  Args:
    system: a file system of fsspec.
    names: of the files in it, by their paths in the target.
    files: what it knows about them.
    target: the directory to copy to.
    path: the path as it was given, for messages.
    depth: directories of a path in the target, at most.
  """
  target.mkdir(parents=True, exist_ok=True)
  record = target.with_suffix(".json")
  marks = _read_marks(record)
  record.unlink(missing_ok=True)  # Until all copies are what it says.
  current = {}
  for name, remote_name in sorted(names.items()):
    copy = paths.resolve_inside(target, name, path)
    mark = _mark(files[remote_name])
    copy.parent.mkdir(parents=True, exist_ok=True)
    if name.count("/") > depth:
      copy.write_bytes(b"")
    elif not (copy.is_file() and mark == marks.get(name)):
      _copy(system, remote_name, copy)
    current[name] = mark
  for old in target.rglob("*"):
    if old.is_file() and old.relative_to(target).as_posix() not in current:
      old.unlink()
  artifacts.write_json(record, current)


def _mark(info: Mapping[str, Any]) -> str:
  """Returns what changes whenever a file's content does, as far as is known."""
  marks = [str(info[key]) for key in _MARKS if info.get(key)]
  return f"{info['size']} {marks[0]}" if marks else ""


def _read_marks(record: pathlib.Path) -> dict[str, str]:
  """Returns the marks of the copies, of which "" is never current."""
  try:
    return {k: v or "?" for k, v in json.loads(record.read_bytes()).items()}
  except (OSError, ValueError, AttributeError):
    return {}


def _copy(system: Any, name: str, target: pathlib.Path) -> None:
  """Copies a file, in full or not at all."""
  partial = target.with_name(f".{target.name}.{os.getpid()}")
  try:
    system.get_file(name, str(partial))
    os.replace(partial, target)
  finally:
    partial.unlink(missing_ok=True)
