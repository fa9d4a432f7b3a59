"""Writes directories and files in full or not at all."""

from collections.abc import Iterator
import contextlib
import fcntl
import json
import os
import pathlib
import re
import shutil
from typing import Any
import uuid

from zsgen.core.artifacts import copies


@contextlib.contextmanager
def writing(
    path: pathlib.Path, replace: bool = False
) -> Iterator[pathlib.Path]:
  """Yields a directory to write to; it becomes `path` if nothing raises.

  If another process made `path` in the meantime, its artifact is kept: equal
  names have equal content. In a workdir in a bucket, it is uploaded at the end.

  Args:
    path: the final directory.
    replace: whether to replace an existing directory as a whole.
  """
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary, replaced = _hidden_name(path), _hidden_name(path)
  temporary.mkdir()
  try:
    with _locked(temporary):
      yield temporary
      if replace and path.is_dir():
        os.replace(path, replaced)
      try:
        os.replace(temporary, path)
      except OSError:
        if not path.is_dir():
          raise
    copies.publish(path, replace)
  finally:
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.rmtree(replaced, ignore_errors=True)


def remove_leftovers(path: pathlib.Path) -> None:
  """Deletes what killed processes left behind in `writing(path)`.

  If the file system has locks, a directory that another process is writing is
  kept.
  """
  pattern = re.compile(rf"\.+{re.escape(path.name)}(\.[0-9a-f]{{12}})+")
  for leftover in sorted(path.parent.glob(".*")):
    if pattern.fullmatch(leftover.name) and leftover.is_dir():
      with _locked(leftover) as is_free:
        if is_free:
          shutil.rmtree(leftover, ignore_errors=True)


@contextlib.contextmanager
def _locked(directory: pathlib.Path) -> Iterator[bool]:
  """Locks a directory; yields False if it is locked or cannot be."""
  handle = os.open(directory, os.O_RDONLY)
  try:
    yield _lock(handle)
  finally:
    os.close(handle)


def _lock(handle: int) -> bool:
  """Locks an open file without waiting; returns whether it succeeded."""
  try:
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except OSError:  # Another process has it, or there are no locks.
    return False
  return True


def _hidden_name(path: pathlib.Path) -> pathlib.Path:
  """Returns a path next to `path` that no other process or host uses."""
  return path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")


def write_json(path: pathlib.Path, value: Any) -> None:
  """Writes JSON next to `path` and renames it: in full or not at all."""
  write_bytes(path, encode_json(value))


def encode_json(value: Any) -> bytes:
  """Returns the content of the file that `write_json` writes."""
  text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False)
  return (text + "\n").encode()


def write_bytes(path: pathlib.Path, data: bytes) -> None:
  """Writes next to `path` and renames it: in full or not at all."""
  temporary = _hidden_name(path)
  try:
    temporary.write_bytes(data)
    os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)  # It exists if the disk is full.
