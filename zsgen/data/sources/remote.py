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
  """Whether a path names what matches it."""
  return bool(set(path) & set(_MAGIC))


def copied(path: str, scratch: pathlib.Path) -> pathlib.Path:
  """Copies what a remote path names, unless it lies there already.

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

  place = hashlib.blake2b(path.encode(), digest_size=8).hexdigest()
  target = scratch / "remote" / place
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
  """Copies a file, a tree of two levels, or what a glob finds."""
  parts = path.split("/")
  magic = [i for i, part in enumerate(parts) if is_glob(part)]
  if magic:
    base = type(source)("/".join(parts[: magic[0]]))
    found = base.glob("/".join(parts[magic[0] :]))
    copies = [_copy(file, target / file.relative_to(base)) for file in found]
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
  for each in source.iterdir():
    if not each.is_dir():
      copies.append(_copy(each, target / each.name))
    elif levels > 1:
      copies += _copy_tree(each, target / each.name, levels - 1)
    else:
      copies += _mark_tree(each, target / each.name)
  return copies


def _mark_tree(source: Any, target: pathlib.Path) -> list[pathlib.Path]:
  """Makes empty files of what lies too deep to be read.

  So it is told as what lies too deep in local directories; see `files`.
  """
  marks = []
  for each in source.iterdir():
    if each.is_dir():
      marks += _mark_tree(each, target / each.name)
    else:
      target.mkdir(parents=True, exist_ok=True)
      (target / each.name).write_bytes(b"")
      marks.append(target / each.name)
  return marks


def _keep_only(copies: list[pathlib.Path], target: pathlib.Path) -> None:
  """Removes copies of what has gone since."""
  for path in set(target.rglob("*")) - set(copies):
    if path.is_file():
      path.unlink()


def _copy(source: Any, target: pathlib.Path) -> pathlib.Path:
  """Copies a file, unless the copy has its length and is no older."""
  there = source.stat()
  if target.is_file():
    here = target.stat()
    if here.st_size == there.length and here.st_mtime >= (there.mtime or 0):
      return target
  target.parent.mkdir(parents=True, exist_ok=True)
  beside = target.with_name(f".{target.name}.{os.getpid()}")
  with source.open("rb") as read, open(beside, "wb") as write:
    shutil.copyfileobj(read, write, 1 << 20)
  os.replace(beside, target)
  return target
