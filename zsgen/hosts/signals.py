"""SIGTERM and Ctrl-C end a process that waits for others inside a library.

Python's handlers run between two instructions of the main thread. It comes to
none while a collective, or a barrier of a checkpoint, waits for a process that
never comes. So a thread hears of the signal too. If the main thread then stays
in one call for five minutes, the process ends as if it were killed, which a run
survives.
"""

from collections.abc import Iterable, Iterator
import contextlib
import functools
import os
import signal
import socket
import sys
import threading
import time
import types
from typing import TypeVar

from zsgen import errors, terminal
from zsgen.hosts import failures, service

T = TypeVar("T")
# Seconds inside one call after which a process is taken to wait in vain. Saving
# a large checkpoint is one call too, and must not be cut off.
_STUCK = 300.0
# While the processes join each other there is nothing to save.
_JOINING = 1.0
# Seconds to tell the other processes of the end, and to see them leave.
_TELLING = 10.0
_POLL = 0.2
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class _Watch:
  """A thread that hears of signals; it lives as long as the process."""

  def __init__(self) -> None:
    self.patience = _STUCK
    self.longest = 0.0
    self._moved = 0.0
    self._heard, self._write = socket.socketpair()
    self._write.setblocking(False)
    number = self._write.fileno()
    before = signal.set_wakeup_fd(number, warn_on_full_buffer=False)
    if before != -1:  # It is an event loop's, which hears signals itself.
      signal.set_wakeup_fd(before)
    threading.Thread(target=self._listen, daemon=True).start()

  def move(self, first: bool) -> None:
    """Notes how long this process has taken since it did so last."""
    now = time.monotonic()
    self.longest = 0.0 if first else max(self.longest, now - self._moved)
    self._moved = now

  def _listen(self) -> None:
    number = 0
    while number not in _SIGNALS:
      (number,) = self._heard.recv(1)
    before, since = None, time.monotonic()
    while time.monotonic() < since + max(self.patience, 2 * self.longest):
      frame = _main_frame()
      if frame is None:
        return
      # The frame is held: no other can have its place in memory, so another
      # call of the same function is another frame.
      now = (frame, frame.f_lasti, self._moved)
      if now != before:
        before, since = now, time.monotonic()
      time.sleep(_POLL)
    _end(signal.Signals(number), tell=self.patience > _JOINING)


def _main_frame() -> types.FrameType | None:
  """The innermost frame of the main thread."""
  return sys._current_frames().get(threading.main_thread().ident)


def _end(number: signal.Signals, tell: bool) -> None:
  """Ends this process, and tells the others if they have joined."""
  said = (
      f"stopped by {number.name} while it waited for other processes; what is"
      " saved is kept, and the same command goes on."
  )
  terminal.tell(said)
  threading.Timer(_TELLING, os._exit, [128 + number]).start()
  if tell and service.several():
    failures.tell(errors.Stopped(said))
    failures.leave(128 + number)
  os._exit(128 + number)


@functools.cache
def _watching() -> _Watch:
  return _Watch()


def move(first: bool = False) -> None:
  """Says that the work has come a step further.

  A process whose steps, or evaluations between them, take long is not taken to
  wait in vain until one takes twice as long as any before.

  Args:
    first: the first of these steps begins.
  """
  if _watching.cache_info().currsize:  # In a run of several processes.
    _watching().move(first)


def moves(items: Iterable[T]) -> Iterator[T]:
  """Yields items; each is a `move`."""
  for item in items:
    move()
    yield item


@contextlib.contextmanager
def joining() -> Iterator[None]:
  """Hears signals from now on; at once until this ends.

  In a thread that is not the main one nothing can be heard.
  """
  if threading.current_thread() is not threading.main_thread():
    yield
    return
  watch = _watching()
  watch.patience = _JOINING
  try:
    yield
  finally:
    watch.patience = _STUCK
