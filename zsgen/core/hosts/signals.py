"""Ends a process on SIGTERM or Ctrl-C while it waits inside a library.

Python's handlers run between two instructions of the main thread. They cannot
run while a collective, or a barrier of a checkpoint, waits for a process that
hangs. So a thread receives the signal too. If the main thread then stays in one
call for five minutes, the process ends as if it were killed, which a run
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

from zsgen.core import errors, terminal
from zsgen.core.hosts import failures, service

T = TypeVar("T")
# Seconds inside one call after which a process is assumed to hang. Saving a
# large checkpoint is one call too, and must not be interrupted.
_STUCK = 300.0
# While the processes join each other there is nothing to save.
_JOINING = 1.0
# Seconds to notify the other processes and wait until they leave.
_NOTIFICATION = 10.0
_POLL = 0.2
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class _Watch:
  """A thread that receives signals; it lives as long as the process."""

  def __init__(self) -> None:
    self.patience = _STUCK
    self.longest = 0.0
    self._moved = 0.0
    self._heard, self._write = socket.socketpair()
    self._write.setblocking(False)
    number = self._write.fileno()
    other_fd = signal.set_wakeup_fd(number, warn_on_full_buffer=False)
    if other_fd != -1:  # An event loop's, which handles signals itself.
      signal.set_wakeup_fd(other_fd)
    threading.Thread(target=self._listen, daemon=True).start()

  def move(self, first: bool) -> None:
    """Records how long this process has taken since the last call."""
    now = time.monotonic()
    self.longest = 0.0 if first else max(self.longest, now - self._moved)
    self._moved = now

  def _listen(self) -> None:
    """Ends the process if the main thread is stuck after a signal."""
    number = 0
    while number not in _SIGNALS:
      (number,) = self._heard.recv(1)
    last_state, changed_at = None, time.monotonic()
    while time.monotonic() < changed_at + max(self.patience, 2 * self.longest):
      frame = _main_frame()
      if frame is None:
        return
      # The frame is kept alive, so that another call of the same function
      # cannot reuse its memory and look like the same frame.
      state = (frame, frame.f_lasti, self._moved)
      if state != last_state:
        last_state, changed_at = state, time.monotonic()
      time.sleep(_POLL)
    _end(signal.Signals(number), notify=self.patience > _JOINING)


def _main_frame() -> types.FrameType | None:
  """Returns the innermost frame of the main thread."""
  main = threading.main_thread().ident
  return None if main is None else sys._current_frames().get(main)


def _end(number: signal.Signals, notify: bool) -> None:
  """Ends this process, and notifies the others if they have joined."""
  message = (
      f"stopped by {number.name} while it waited for other processes. Saved"
      " work is kept; run the same command again to resume."
  )
  terminal.print_message(message)
  threading.Timer(_NOTIFICATION, os._exit, [128 + number]).start()
  if notify and service.is_distributed():
    failures.notify_others(errors.Stopped(message))
    failures.leave(128 + number)
  os._exit(128 + number)


@functools.cache
def _watching() -> _Watch:
  return _Watch()


def move(first: bool = False) -> None:
  """Reports progress: the next step or evaluation begins.

  A process is assumed to hang only if a step takes longer than five minutes and
  more than twice as long as any step before.

  Args:
    first: whether this is the first step.
  """
  if _watching.cache_info().currsize:  # In a run of several processes.
    _watching().move(first)


def moves(items: Iterable[T]) -> Iterator[T]:
  """Yields items, and calls `move` before each."""
  for item in items:
    move()
    yield item


@contextlib.contextmanager
def joining() -> Iterator[None]:
  """Starts to watch for signals, and ends at once on one in this context.

  Only the main thread can receive signals; elsewhere this does nothing.
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
