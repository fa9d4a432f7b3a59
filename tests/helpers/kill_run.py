"""Runs a config and kills itself, hard, at a named moment.

  python tests/helpers/kill_run.py CONFIG.json WORKDIR MOMENT

MOMENT: step:N, evaluation:N, segment:N (checkpoints before it are committed),
save:N (files of the save are being written) or never. The last stage is train.
"""

import json
import os
import pathlib
import signal
import sys

import zsgen
from zsgen.orders import segments
from zsgen.train import checkpoints, loop, records


def kill() -> None:
  """Kills this process: nothing is flushed, nothing is caught."""
  os.kill(os.getpid(), signal.SIGKILL)


def arm(moment: str) -> None:
  """Makes the process die at the moment."""
  kind, _, number = moment.partition(":")
  if kind in ("step", "evaluation", "segment"):
    _commit_at_once()
  if kind == "step":
    _before(records.Records, "consumed", lambda step, *_: step == int(number))
  elif kind == "evaluation":
    _before(
        records.Records, "evaluated", lambda _, step, *__: step == int(number)
    )
  elif kind == "segment":
    _before(
        segments, "save", lambda made_by, *_: made_by["step"] == int(number)
    )
  elif kind == "save":
    save = checkpoints.Checkpoints.save

    def die_while_saving(self, step, *args):
      save(self, step, *args)
      if step == int(number):
        kill()

    checkpoints.Checkpoints.save = die_while_saving


def _commit_at_once() -> None:
  save = checkpoints.Checkpoints.save

  def save_and_wait(self, *args):
    save(self, *args)
    self._manager.wait_until_finished()

  checkpoints.Checkpoints.save = save_and_wait


def _before(owner, name: str, condition) -> None:
  method = getattr(owner, name)

  def armed(self, *args, **kwargs):
    if condition(*args):
      kill()
    return method(self, *args, **kwargs)

  setattr(owner, name, armed)


if __name__ == "__main__":
  path, workdir, moment = sys.argv[1:]
  arm(moment)
  zsgen.run(json.loads(pathlib.Path(path).read_text()), workdir, ["train"])
  heavy = {"tensorflow", "seqio", "torch"} & set(sys.modules)
  print(json.dumps({"heavy": sorted(heavy), "loop": loop.__name__}))
