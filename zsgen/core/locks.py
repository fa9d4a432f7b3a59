"""Locks on files, which the operating system releases when a process ends."""

import fcntl
import io
import pathlib


def lock(file: io.FileIO, is_shared: bool = False) -> bool | None:
  """Locks a file until it is closed.

  Args:
    file: an open file.
    is_shared: whether others may have a shared lock on it, too.

  Returns:
    Whether it is locked now; None if the file system has no locks.
  """
  kind = fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX
  try:
    fcntl.flock(file, kind | fcntl.LOCK_NB)
  except BlockingIOError:
    return False
  except OSError:
    return None
  return True


def is_locked(path: pathlib.Path) -> bool:
  """Returns whether another process, or this one, has locked a file."""
  if not path.exists():
    return False
  with open(path, "rb", buffering=0) as file:
    return lock(file, is_shared=True) is False
