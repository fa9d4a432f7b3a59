"""Claims: which job trains which point of a sweep.

Many jobs, on one host or several, share the points of a sweep: each trains what
no other has claimed. A claim is a lock on a file of the sweep's directory, which
the operating system releases when the process ends, however it ends. In a
bucket, it is a lease, which ends if it is not renewed. Either gives the point
back.
"""

from collections.abc import Iterator
import contextlib
import datetime
import os
import pathlib
import socket

from zsgen.core import artifacts, errors, locks, storage


@contextlib.contextmanager
def hold(
    directory: pathlib.Path, name: str, seconds: float, waits: bool = False
) -> Iterator[None]:
  """Holds a claim while the context is entered.

  Args:
    directory: the directory of the sweep.
    name: what is claimed, such as a point. If the file system has no locks, all
      processes can hold it.
    seconds: the time of a lease.
    waits: whether to wait until it is known whether a lease is renewed.

  Raises:
    Held: another process holds it; the message names the process.
  """
  if mounted := storage.find(directory):
    lease = f"{mounted.name}/claims/{name}"
    with storage.Lease(mounted.bucket, lease, seconds, "point", waits):
      yield
  else:
    with _hold_file(directory, name):
      yield


@contextlib.contextmanager
def _hold_file(directory: pathlib.Path, name: str) -> Iterator[None]:
  """Holds a claim in a local workdir."""
  path = _path(directory, name)
  path.parent.mkdir(parents=True, exist_ok=True)
  with open(path, "a+b", buffering=0) as file:
    has_lock = locks.lock(file)
    if has_lock is False:
      raise storage.Held(
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
  """Returns whether two processes cannot hold one claim of a sweep."""
  if storage.find(directory):
    return True
  path = _path(directory, "")
  path.parent.mkdir(parents=True, exist_ok=True)
  with open(path, "a+b", buffering=0) as file:
    return locks.lock(file, is_shared=True) is not None


def holder(directory: pathlib.Path, name: str) -> str:
  """Returns the process that holds a claim; "" if none does."""
  if mounted := storage.find(directory):
    return storage.find_holder(mounted.bucket, f"{mounted.name}/claims/{name}")
  path = _path(directory, name)
  return _owner(path) if locks.is_locked(path) else ""


def _path(directory: pathlib.Path, name: str) -> pathlib.Path:
  """Returns the file that is locked while a point is trained."""
  return directory / "claims" / f"{name}.json"


def _owner(path: pathlib.Path) -> str:
  """Returns a description of the process that wrote a claim last."""
  try:
    claim = artifacts.read_json(path)
    return f"{claim['owner']} since {claim['since']}"
  except (errors.InputError, KeyError, TypeError):  # It is about to be written.
    return "another process"
