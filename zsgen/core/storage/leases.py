"""Leases: at most one process works on something at a time.

A lease is a sequence of numbered objects in a bucket, or files in a directory,
of which the one with the highest number counts. It names its holder, who renews
it by creating the next number, which succeeds for exactly one process
(if-generation-match=0). If the holder does not renew it for the lease's time,
another process takes it over by creating the next number; the holder notices,
because its own renewal fails. The last number is never deleted, so that no
process can mistake an old number for a new one.
"""

from collections.abc import Iterable, Mapping
import contextlib
import datetime
import json
import math
import os
import socket
import threading
import time
from typing import Any, Protocol, Self
import uuid

from zsgen.core import errors

# The lease's time is this many times that between renewals.
_RENEWALS = 4
# Share of the lease's time after which a holder that cannot renew it stops.
_SAFE = 0.75


class Held(errors.InputError):
  """Another process holds a lease."""


class Objects(Protocol):
  """Where a lease is: `Bucket` or `Folder`."""

  url: str

  def list(self, prefix: str = "") -> Mapping[str, Any]:
    """Returns the objects in a directory, by name."""
    ...

  def read(self, name: str) -> bytes | None:
    """Returns the content of an object, or None."""
    ...

  def create(self, name: str, data: bytes) -> bool:
    """Writes an object unless there is one; returns whether it did."""
    ...

  def modified(self, name: str) -> datetime.datetime | None:
    """Returns when an object was written, by the clock of `objects`."""
    ...

  def delete(self, names: Iterable[str]) -> None:
    """Deletes objects."""
    ...


class Lease:
  """Holds a lease while the context is entered; a thread renews it.

  Args:
    objects: where the lease is.
    name: its directory in `objects`; nothing else is in it.
    seconds: the lease's time: how long it lasts if it is not renewed.
    noun: what it protects, for messages, such as "run".
    waits: whether to wait for a sign of life of another holder.
  """

  def __init__(
      self,
      objects: Objects,
      name: str,
      seconds: float,
      noun: str = "run",
      waits: bool = True,
  ):
    self._objects = objects
    self._name = name
    self._seconds = seconds
    self._noun = noun
    self._waits = waits
    self._owner = f"process {os.getpid()} on {socket.gethostname()}"
    self._token = uuid.uuid4().hex
    self._number = -1
    self._renewed = -1.0
    self._lost_to = ""
    self._ended = threading.Event()
    self._thread = threading.Thread(target=self._keep, daemon=True)

  def __enter__(self) -> Self:
    """Takes the lease.

    Raises:
      Held: another process holds it and renews it, or may do so.
    """
    self._take()
    self._thread.start()
    return self

  def __exit__(self, *_: Any) -> None:
    """Gives the lease back, so that others need not wait."""
    self._ended.set()
    self._thread.join()
    if not self._lost_to:
      with contextlib.suppress(errors.InputError):  # It becomes stale then.
        self._claim(self._number + 1, is_free=True)

  def check(self) -> None:
    """Raises InputError if the lease is lost, so that nothing may be written."""
    late = time.monotonic() - self._renewed > _SAFE * self._seconds
    if self._lost_to or late:
      holder = self._lost_to or "it could not be renewed in time"
      raise errors.InputError(
          f"{self._objects.url}/{self._name}: this process lost its lease of"
          f" the {self._noun} ({holder}), because it was suspended or cut off"
          " from the bucket. Nothing was written since. If no other process"
          " works on it, run the same command again: it resumes."
      )

  def _take(self) -> None:
    """Creates the next number once the lease is free or stale."""
    first = None
    while True:
      number, holder = _latest(self._objects, self._name)
      first = number if first is None else first
      seconds = holder.get("seconds", self._seconds)
      is_free = holder.get("is_free", not holder)
      if number != first and not is_free:  # Renewed or taken meanwhile.
        raise self._refusal(holder)
      if is_free or _is_stale(self._objects, self._name, number, seconds):
        if self._claim(number + 1):
          return
        continue
      if not self._waits:
        raise self._refusal(holder)
      time.sleep(seconds / _RENEWALS / 2)

  def _refusal(self, holder: Mapping[str, Any]) -> Held:
    owner = holder.get("owner", "an unknown process")
    seconds = holder.get("seconds", self._seconds)
    return Held(
        f"{self._objects.url}/{self._name}: another process works on this"
        f" {self._noun}: {owner}. Wait for it, or end it; if it is killed, its"
        f" lease ends after {seconds:g} seconds."
    )

  def _claim(self, number: int, is_free: bool = False) -> bool:
    """Creates a number; returns whether this process has the lease then."""
    begin = time.monotonic()
    content = {
        "owner": self._owner,
        "token": self._token,
        "is_free": is_free,
        "seconds": self._seconds,
    }
    data = json.dumps(content).encode()
    claimed = _object(self._name, number)
    if not self._objects.create(claimed, data):
      # A request may succeed although its answer is lost.
      written = self._objects.read(claimed) or b"{}"
      if json.loads(written).get("token") != self._token:
        return False
    names = list(self._objects.list(self._name))
    if _highest(names) != number:
      return False  # Numbers up to a higher one had been deleted.
    self._number, self._renewed = number, begin
    # Older numbers, and clocks of processes that were killed.
    self._objects.delete([name for name in names if name != claimed])
    return True

  def _keep(self) -> None:
    """Renews the lease until the end, or until it is lost."""
    while not self._ended.wait(self._seconds / _RENEWALS):
      try:
        if not self._claim(self._number + 1):
          _, holder = _latest(self._objects, self._name)
          self._lost_to = holder.get("owner", "another process has it")
          return
      except errors.InputError:
        pass  # `check` raises if this lasts.


def find_holder(objects: Objects, name: str) -> str:
  """Returns the process that holds a lease; "" if it is free or stale.

  Args:
    objects: where the lease is.
    name: its directory.
  """
  number, holder = _latest(objects, name)
  if holder.get("is_free", not holder):
    return ""
  is_stale = _is_stale(objects, name, number, holder.get("seconds", math.inf))
  return "" if is_stale else holder.get("owner", "an unknown process")


def _latest(objects: Objects, name: str) -> tuple[int, dict[str, Any]]:
  """Returns the highest number and its holder; (-1, {}) if there is none."""
  number = _highest(objects.list(name))
  if number < 0:
    return number, {}
  data = objects.read(_object(name, number))
  return number, json.loads(data) if data else {"owner": "another process"}


def _is_stale(objects: Objects, name: str, number: int, seconds: float) -> bool:
  """Returns whether a number is older than the lease's time.

  Both times are of the clock of `objects`: hosts may disagree.
  """
  probe = f"{name}/clock-{uuid.uuid4().hex}"
  objects.create(probe, b"")
  now = objects.modified(probe)
  objects.delete([probe])
  modified = objects.modified(_object(name, number))
  if now is None or modified is None:
    return False
  return (now - modified).total_seconds() > seconds


def _highest(names: Iterable[str]) -> int:
  """Returns the highest number among objects; -1 if there is none."""
  words = [name.rpartition("/")[2] for name in names]
  return max((int(word) for word in words if word.isdecimal()), default=-1)


def _object(name: str, number: int) -> str:
  return f"{name}/{number:010d}"
