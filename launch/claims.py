"""Claims: which process trains which point of a sweep.

Many processes, on one host or several, share the points of a sweep: each trains
what no other has claimed. A claim is a lock on a file of the sweep's directory.
The operating system releases it when the process ends, however it ends, and so
gives the point back.
"""

from collections.abc import Iterator
import contextlib
import datetime
import fcntl
import io
import os
import pathlib
import socket

from zsgen.core import artifacts, errors


class Held(errors.InputError):
  """Another process has the claim."""


@contextlib.contextmanager
def hold(directory: pathlib.Path, name: str) -> Iterator[None]:
  """Holds a claim while the context is entered.

  Args:
    directory: the directory of the sweep.
    name: what is claimed, such as a point. If the file system has no locks, all
      processes can hold it.

  Raises:
    Held: another process holds it; the message names the process.
  """
  path = _path(directory, name)
  path.parent.mkdir(parents=True, exist_ok=True)
  with open(path, "a+b", buffering=0) as file:
    has_lock = _lock(file, fcntl.LOCK_EX)
    if has_lock is False:
      raise Held(
          f"{name} of {directory.name} is trained by {_owner(path)}. Wait for"
          " it, or end it: its claim ends with it."
      )
    if has_lock:
      since = datetime.datetime.now(datetime.UTC).isoformat("T", "seconds")
      owner = f"process {os.getpid()} on {socket.gethostname()}"
      file.truncate(0)
      file.write(artifacts.encode_json({"owner": owner, "since": since}))
    yield


def has_locks(directory: pathlib.Path) -> bool:
  """Returns whether the file system of a sweep has locks."""
  path = _path(directory, "")
  path.parent.mkdir(parents=True, exist_ok=True)
  with open(path, "a+b", buffering=0) as file:
    return _lock(file, fcntl.LOCK_SH) is not None


def holder(directory: pathlib.Path, name: str) -> str:
  """Returns the process that holds a claim; "" if none does."""
  path = _path(directory, name)
  return _owner(path) if is_locked(path) else ""


def is_locked(path: pathlib.Path) -> bool:
  """Returns whether another process, or this one, has locked a file."""
  if not path.exists():
    return False
  with open(path, "rb", buffering=0) as file:
    return _lock(file, fcntl.LOCK_SH) is False


def _path(directory: pathlib.Path, name: str) -> pathlib.Path:
  """Returns the file that is locked while a point is trained."""
  return directory / "claims" / f"{name}.json"


def _lock(file: io.FileIO, kind: int) -> bool | None:
  """Locks a file until it is closed.

  Returns:
    Whether it is locked now; None if the file system has no locks.
  """
  try:
    fcntl.flock(file, kind | fcntl.LOCK_NB)
  except BlockingIOError:
    return False
  except OSError:
    return None
  return True


def _owner(path: pathlib.Path) -> str:
  """Returns a description of the process that wrote a claim last."""
  try:
    claim = artifacts.read_json(path)
    return f"{claim['owner']} since {claim['since']}"
  except (errors.InputError, KeyError, TypeError):  # It is about to be written.
    return "another process"
