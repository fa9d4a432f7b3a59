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
  """

  def __init__(
      self, objects: Objects, name: str, seconds: float, noun: str = "run"
  ):
    self._objects = objects
    self._name = name
    self._seconds = seconds
    self._noun = noun
    self._owner = f"process {os.getpid()} on {socket.gethostname()}"
    self._token = uuid.uuid4().hex
    self._number = -1
    self._renewed = -1.0
    self._lost_to = ""
    self._ended = threading.Event()
    self._thread = threading.Thread(target=self._keep, daemon=True)

  def __enter__(self) -> Self:
    """Takes the lease, waiting for one that may be stale.

    Raises:
      InputError: another process holds it and renews it.
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
      number, holder = self._latest()
      first = number if first is None else first
      is_free = not holder or holder.get("is_free")
      if number != first and not is_free:  # Renewed or taken meanwhile.
        raise self._refusal(holder)
      if is_free or self._is_stale(number):
        if self._claim(number + 1):
          return
        continue
      time.sleep(self._seconds / _RENEWALS / 2)

  def _refusal(self, holder: Mapping[str, Any]) -> errors.InputError:
    owner = holder.get("owner", "an unknown process")
    return errors.InputError(
        f"{self._objects.url}/{self._name}: another process works on this"
        f" {self._noun}: {owner}. Wait for it, or end it; if it is killed, its"
        f" lease ends after {self._seconds:g} seconds."
    )

  def _latest(self) -> tuple[int, dict[str, Any]]:
    """Returns the highest number and its holder; (-1, {}) if there is none."""
    number = self._highest(self._objects.list(self._name))
    if number < 0:
      return number, {}
    data = self._objects.read(self._object(number))
    return number, json.loads(data) if data else {"owner": "another process"}

  def _is_stale(self, number: int) -> bool:
    """Returns whether a number is older than the lease's time.

    Both times are of the clock of `objects`: hosts may disagree.
    """
    probe = f"{self._name}/clock-{self._token}"
    self._objects.create(probe, b"")
    now = self._objects.modified(probe)
    self._objects.delete([probe])
    modified = self._objects.modified(self._object(number))
    if now is None or modified is None:
      return False
    return (now - modified).total_seconds() > self._seconds

  def _claim(self, number: int, is_free: bool = False) -> bool:
    """Creates a number; returns whether this process has the lease then."""
    begin = time.monotonic()
    content = {
        "owner": self._owner,
        "token": self._token,
        "is_free": is_free,
    }
    data = json.dumps(content).encode()
    if not self._objects.create(self._object(number), data):
      # A request may succeed although its answer is lost.
      written = self._objects.read(self._object(number)) or b"{}"
      if json.loads(written).get("token") != self._token:
        return False
    names = list(self._objects.list(self._name))
    if self._highest(names) != number:
      return False  # Numbers up to a higher one had been deleted.
    self._number, self._renewed = number, begin
    # Older numbers, and clocks of processes that were killed.
    self._objects.delete(
        [name for name in names if name != self._object(number)]
    )
    return True

  def _keep(self) -> None:
    """Renews the lease until the end, or until it is lost."""
    while not self._ended.wait(self._seconds / _RENEWALS):
      try:
        if not self._claim(self._number + 1):
          holder = self._latest()[1]
          self._lost_to = holder.get("owner", "another process has it")
          return
      except errors.InputError:
        pass  # `check` raises if this lasts.

  def _highest(self, names: Iterable[str]) -> int:
    """Returns the highest number among objects; -1 if there is none."""
    words = [name.rpartition("/")[2] for name in names]
    return max((int(word) for word in words if word.isdecimal()), default=-1)

  def _object(self, number: int) -> str:
    return f"{self._name}/{number:010d}"
