"""A signal ends a process whose main thread is inside a call for ever."""

import signal
import subprocess
import sys
import threading
import types

import pytest

from zsgen.core import command

# The main thread waits for a lock in C, where no handler of Python runs.
STUCK = """
import ctypes, signal
from zsgen.core.hosts import signals

signal.signal(signal.SIGTERM, lambda *_: None)
signals._STUCK = 1.0
with signals.joining():
  pass
pthread, lock = ctypes.CDLL(None), ctypes.create_string_buffer(64)
pthread.pthread_mutex_lock(lock)
print("waits", flush=True)
pthread.pthread_mutex_lock(lock)
"""
# It hears the signal, and has more to do than the patience allows one
# call; then calls that take longer, but not twice as long as one before.
BUSY = """
import signal, time
from zsgen.core.hosts import signals

def work():
  time.sleep(0.5)

heard = []
signal.signal(signal.SIGTERM, lambda *_: heard.append(1))
signals._STUCK = 1.0
with signals.joining():
  pass
print("waits", flush=True)
while not heard:
  work()
for _ in range(6):
  work()
signals.move(first=True)
for _ in range(3):
  time.sleep(0.6)
  signals.move()
signals.move(first=True)
for _ in range(3):
  work()
signals.move()
time.sleep(2)
print("done", flush=True)
"""


def _ended(script: str, number: signal.Signals) -> tuple[int, str]:
  process = subprocess.Popen(
      [sys.executable, "-c", script],
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
  )
  try:
    assert process.stdout.readline() == "waits\n"
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
  finally:
    process.kill()
  return process.returncode, output


def test_a_process_that_waits_in_a_library_ends():
  code, output = _ended(STUCK, signal.SIGTERM)
  assert code == 128 + signal.SIGTERM
  assert "zsgen: stopped by SIGTERM while it waited for other proc" in output


@pytest.mark.slow
def test_a_working_process_is_not_interrupted():
  assert _ended(BUSY, signal.SIGTERM) == (0, "done\n")


@pytest.mark.parametrize(
    ("lost", "number"),
    [
        (command._Terminated(), signal.SIGTERM),
        (KeyboardInterrupt(), signal.SIGINT),
        (ValueError(), None),
    ],
)
def test_a_signal_lost_in_a_callback_is_sent_again(lost, number):
  heard, passed_on = threading.Event(), []
  before = {
      signum: signal.signal(
          signum, lambda received, _: received == number and heard.set()
      )
      for signum in (signal.SIGTERM, signal.SIGINT)
  }
  try:
    command._unraisable(passed_on.append, types.SimpleNamespace(exc_value=lost))
    assert heard.wait(20 if number else 0.2) == bool(number)
  finally:
    for signum, handler in before.items():
      signal.signal(signum, handler)
  assert len(passed_on) == (number is None)
