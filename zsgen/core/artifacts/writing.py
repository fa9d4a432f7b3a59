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
