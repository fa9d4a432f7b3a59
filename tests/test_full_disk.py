"""A full disk: one message, exit code 2, and the same command resumes."""

import errno
import os
import pathlib
import resource
import subprocess
import sys

import pytest

from configs import tmt
import zsgen
from zsgen.core import full_disk

OPTIONS = {
    "data.train_instances": 4,
    "order.budget": 64,
    "machine.save_every": 2,
    "model.init": "new",
    "model.layers": 1,
    "model.width": 32,
    "model.mlp_width": 32,
}
THREAD = """
import errno, pathlib, threading, time
from zsgen.core import full_disk
full_disk.watch(pathlib.Path("."))
def write():
  raise OSError(errno.ENOSPC, "No space left on device")
threading.Thread(target=write).start()
time.sleep(60)
"""


def _run(arguments, root: pathlib.Path, largest: int = resource.RLIM_INFINITY):
  """Python in a process whose files may have `largest` bytes."""
  limits = (largest, resource.RLIM_INFINITY)
  return subprocess.run(
      [sys.executable, *arguments],
      cwd=root,
      env={**os.environ, "PYTHONPATH": str(root)},
      preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits),
      capture_output=True,
      text=True,
      check=False,
  )


@pytest.mark.parametrize(
    ("before", "stage", "largest"),
    [
        ("prepare", "order", 4096),
        ("order", "train", 20_000),
        ("train", "export", 20_000),
    ],
)
@pytest.mark.slow
def test_a_stage_that_cannot_write(root, tmp_path, before, stage, largest):
  config = tmt.get_config()
  config.update_from_flattened_dict(OPTIONS)
  zsgen.run(config, tmp_path, [before])
  flags = [f"--config.{name}={value}" for name, value in OPTIONS.items()]
  job = ("-m", "zsgen.main", "--config=configs/tmt.py", *flags)
  job = (*job, f"--workdir={tmp_path}")
  completed = _run([*job, f"--stage={stage}"], root, largest)
  assert completed.returncode == 2, completed.stderr
  assert "Traceback" not in completed.stderr
  last = completed.stderr.splitlines()[-1]
  assert last.startswith("zsgen: a file is larger than")
  assert str(tmp_path) in last and "free" in last and "are kept" in last
  assert not list(tmp_path.glob("*/.*"))
  assert not list(tmp_path.glob("runs/*/.export*"))
  if stage != "train":  # The same command goes on.
    assert _run([*job, f"--stage={stage}"], root).returncode == 0


def test_a_thread_that_cannot_write_ends_the_program(root):
  completed = _run(["-c", THREAD], root)
  assert (completed.returncode, "Traceback" in completed.stderr) == (2, False)
  assert "the disk is full" in completed.stderr


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "No space", "/w/x"), "full: /w/x cannot"),
        (OSError("1920 requested and 1008 written"), "the disk is full: "),
        (
            ValueError('Failed writing: "/w/y/z": No space left on device'),
            "full: /w/y/z cannot",
        ),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the disk quota"),
        (OSError(errno.ENOENT, "No such file"), ""),
        (KeyError("No space left on device"), ""),
    ],
)
def test_messages_explain_the_full_disk(tmp_path, error, expected):
  """Checks the message on the error, and on one that it led to."""
  wrapper = RuntimeError("stopped")
  wrapper.__cause__ = error
  for raised in (error, wrapper):
    message = full_disk.explain(raised, tmp_path / "new")
    assert (expected in message) if expected else message == ""
