"""Locks on files, which the operating system releases when a process ends."""

import fcntl
import io
import pathlib
import time

# Seconds until a lock is tried again that a process only looks at.
_RETRY = 0.01


def lock(file: io.FileIO, is_shared: bool = False) -> bool | None:
  """Locks a file until it is closed.

  A process that looks at it (`is_locked`) is waited for: that takes a moment.

  Args:
    file: an open file, for reading and writing: NFS wants both.
    is_shared: whether others may have a shared lock on it, too.

  Returns:
    Whether it is locked now, False if another process has locked it; None if
    the file system has no locks.
  """
  if is_shared:
    return _try_lock(file, fcntl.LOCK_SH)
  while True:
    is_held = _try_lock(file, fcntl.LOCK_EX)
    if is_held is not False:
      return is_held
    # Next to those that look, a shared lock is possible; next to the holder of
    # an exclusive one, it is not.
    is_only_looked_at = _try_lock(file, fcntl.LOCK_SH)
    if not is_only_looked_at:
      return is_only_looked_at
    fcntl.flock(file, fcntl.LOCK_UN)  # Another process may be waiting, too.
    time.sleep(_RETRY)


def is_locked(path: pathlib.Path) -> bool:
  """Returns whether another process, or this one, has locked a file."""
  if not path.exists():
    return False
  with open(path, "rb", buffering=0) as file:
    return lock(file, is_shared=True) is False


def _try_lock(file: io.FileIO, kind: int) -> bool | None:
  """Locks a file unless others prevent it; returns as `lock`."""
  try:
    fcntl.flock(file, kind | fcntl.LOCK_NB)
  except BlockingIOError:
    return False
  except OSError:
    return None
  return True
