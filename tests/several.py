"""Runs zsgen.main, and at a named moment sends itself a signal.

  python tests/several.py MOMENT FLAGS…

MOMENT: never; or SIGNAL:PROCESS:STEP, such as SIGKILL:2:8, when that process
has come to that step; or SIGTERM:0:prepare.
"""

import os
import signal
import sys

from zsgen import command, hosts
from zsgen import main as main_lib
from zsgen.data import prepare
from zsgen.training import stopping


def arm(moment: str) -> None:
  """Makes the signal come at the moment."""
  name, process, at = moment.split(":")
  reached, prepared = stopping.Stopping.reached, prepare.prepare

  def send(now: str) -> None:
    if hosts.index() == int(process) and now == at:
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
  chosen = sys.argv.pop(1)
  if chosen != "never":
    arm(chosen)
  command.start(main_lib.main)
