"""Files in a bucket, copied once to a local directory."""

import hashlib
import os
import pathlib
import shutil
from typing import Any

from zsgen.core import errors

_MAGIC = "*?["
# The extra of this package that speaks to a kind of bucket.
_EXTRAS = {"gs": "gcs"}


def is_glob(path: str) -> bool:
  """Returns whether a path is a glob pattern."""
  return bool(set(path) & set(_MAGIC))


def copied(path: str, scratch: pathlib.Path) -> pathlib.Path:
  """Copies what a remote path names, unless there is a current copy.

  Args:
    path: a file, a directory (with the directories in it) or a glob, with a
      scheme such as gs://.
    scratch: the directory to copy to.

  Returns:
    The copy: a file, or a directory.

  Raises:
    InputError: there is no such file, no access to it, or no package that
      speaks to the bucket.
  """
  from etils import epath

  digest = hashlib.blake2b(path.encode(), digest_size=8).hexdigest()
  target = scratch / "remote" / digest
  try:
    return _copied(epath.Path(path), path, target)
  except ImportError as error:
    scheme = path.partition("://")[0]
    extra = _EXTRAS.get(scheme)
    hint = f" Install it: pip install -e '.[{extra}]'." if extra else ""
    raise errors.InputError(
        f"config.data.path: {path!r} needs a package that is not installed"
        f" ({error}).{hint}"
    ) from error
  # Each file system has errors of its own.
  except Exception as error:
    if isinstance(error, errors.InputError):
      raise
    raise errors.InputError(
        f"config.data.path: {path!r} cannot be copied"
        f" ({type(error).__name__}: {error}). Check the path and your access."
    ) from error


def _copied(source: Any, path: str, target: pathlib.Path) -> pathlib.Path:
  """Copies a file, a tree of two levels, or the matches of a glob."""
  parts = path.split("/")
  magic = [i for i, part in enumerate(parts) if is_glob(part)]
  if magic:
    base = type(source)("/".join(parts[: magic[0]]))
    matches = base.glob("/".join(parts[magic[0] :]))
    copies = [_copy(file, target / file.relative_to(base)) for file in matches]
    _keep_only(copies, target)
  elif source.is_dir():
    _keep_only(_copy_tree(source, target, levels=3), target)
  elif source.exists():
    return _copy(source, target / source.name)
  if not target.is_dir():
    raise errors.InputError(f"config.data.path: {path!r} is not there.")
  return target


def _copy_tree(
    source: Any, target: pathlib.Path, levels: int
) -> list[pathlib.Path]:
  """Copies a directory's files and, `levels` deep, its directories."""
  copies = []
  for entry in source.iterdir():
    if not entry.is_dir():
      copies.append(_copy(entry, target / entry.name))
    elif levels > 1:
      copies += _copy_tree(entry, target / entry.name, levels - 1)
    else:
      copies += _mark_tree(entry, target / entry.name)
  return copies


def _mark_tree(source: Any, target: pathlib.Path) -> list[pathlib.Path]:
  """Creates empty files for those that are too deep to be read.

  They are reported as those in local directories are; see `files`.
  """
  marks = []
  for entry in source.iterdir():
    if entry.is_dir():
      marks += _mark_tree(entry, target / entry.name)
    else:
      target.mkdir(parents=True, exist_ok=True)
      (target / entry.name).write_bytes(b"")
      marks.append(target / entry.name)
  return marks


def _keep_only(copies: list[pathlib.Path], target: pathlib.Path) -> None:
  """Removes copies of files that no longer exist."""
  for path in set(target.rglob("*")) - set(copies):
    if path.is_file():
      path.unlink()


def _copy(source: Any, target: pathlib.Path) -> pathlib.Path:
  """Copies a file, unless the copy has its length and is no older."""
  remote_stat = source.stat()
  if target.is_file():
    local_stat = target.stat()
    if local_stat.st_size == remote_stat.length and local_stat.st_mtime >= (
        remote_stat.mtime or 0
    ):
      return target
  target.parent.mkdir(parents=True, exist_ok=True)
  partial = target.with_name(f".{target.name}.{os.getpid()}")
  with source.open("rb") as read, open(partial, "wb") as write:
    shutil.copyfileobj(read, write, 1 << 20)
  os.replace(partial, target)
  return target
