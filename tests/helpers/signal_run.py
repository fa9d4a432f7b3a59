"""Runs zsgen.main, and at a named moment sends itself a signal.

  python tests/helpers/signal_run.py MOMENT FLAGS…

MOMENT: never; or SIGNAL:PROCESS:STEP, such as SIGKILL:2:8, when that process
has come to that step; or SIGTERM:0:prepare; or SIGTERM:0:join, some
seconds after its start. HANG:PROCESS:STEP: that process never comes
to the step, and the others, which wait for it, get SIGTERM.
"""

import os
import signal
import sys
import threading
import time

from zsgen import main as main_lib
from zsgen.core import command, hosts
from zsgen.core.hosts import signals
from zsgen.data import prepare
from zsgen.train import stopping


def later(seconds: float) -> None:
  """Sends this process SIGTERM."""
  timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGTERM))
  timer.daemon = True
  timer.start()


def hang(process: str, point: str, now: str) -> None:
  """Hangs one process at a step, while the others are asked to end."""
  if now != point:
    return
  signals._watching().patience = 2
  signals.move(first=True)
  if hosts.index() != int(process):
    later(3)
  while hosts.index() == int(process):
    time.sleep(1)


def arm(moment: str) -> None:
  """Makes the signal come at the moment."""
  name, process, point = moment.split(":")
  reached, prepared = stopping.Stopping.reached, prepare.prepare
  if point == "join":
    later(3)

  def send(now: str) -> None:
    if name == "HANG":
      hang(process, point, now)
    elif hosts.index() == int(process) and now == point:
      os.kill(os.getpid(), signal.Signals[name])

  def armed(self, step: int) -> bool:
    send(str(step))
    return reached(self, step)

  def armed_prepare(*args):
    send("prepare")
    return prepared(*args)

  stopping.Stopping.reached = armed
  prepare.prepare = armed_prepare


if __name__ == "__main__":
  requested = sys.argv.pop(1)
  if requested != "never":
    arm(requested)
  command.start(main_lib.main)
