"""Saves that fail are told, and a run's directory is held by one start."""

from collections.abc import Iterator
import contextlib
import errno
import resource
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest

from zsgen.core import errors, locks
from zsgen.train import checkpoints, records, run_copies
from zsgen.train import step as step_lib

STATE = step_lib.State(
    {"kernel": jax.random.normal(jax.random.key(0), (300, 300))},
    {"count": jax.numpy.zeros(())},
)
RUN = "0f" * 32
HOLD_LOCK = """
import pathlib, sys, time
from zsgen.train import records
with records.lock(pathlib.Path(sys.argv[1]), 60):
  print("held", flush=True)
  time.sleep(600)
"""


@contextlib.contextmanager
def _small_files(size: int) -> Iterator[None]:
  """No file may become larger; a full disk is met in the same way."""
  soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
  try:
    yield
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    "saves_again", [True, False], ids=["next-save", "exit"]
)
def test_a_failed_background_save_is_reported(tmp_path, saves_again):
  path = tmp_path / checkpoints.NAME
  with checkpoints.Checkpoints(path, 2, RUN) as saved:
    saved.save(1, STATE, {})
  with pytest.raises(ValueError, match="File too large"):
    with _small_files(5000), checkpoints.Checkpoints(path, 2, RUN) as saved:
      saved.save(2, STATE, {})
      if saves_again:
        saved.save(3, STATE, {})
        raise AssertionError("nothing was raised")
  with checkpoints.Checkpoints(path, 2, RUN) as saved:
    assert saved.steps() == [1]


def test_a_replaced_directory_is_reported_at_once(tmp_path):
  path = tmp_path / checkpoints.NAME
  with checkpoints.Checkpoints(path, 2, RUN) as saved:
    saved.save(1, STATE, {})
    saved._manager.wait_until_finished()
    shutil.rmtree(path)
    path.write_text("")
    with pytest.raises(OSError, match="Not a directory"):
      saved.save(2, STATE, {})


def test_saved_state_is_restored(tmp_path):
  path = tmp_path / checkpoints.NAME
  with checkpoints.Checkpoints(path, 2, RUN) as saved:
    for step in (1, 2, 3):
      saved.save(step, STATE, {"metrics.jsonl": [step, "ab"]})
  sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
  template = checkpoints.like(STATE, jax.tree.map(lambda _: sharding, STATE))
  with checkpoints.Checkpoints(path, 2, RUN) as saved:
    assert saved.steps() == [2, 3]
    assert saved.records(3) == {"metrics.jsonl": [3, "ab"]}
    jax.tree.map(np.testing.assert_array_equal, saved.state(3, template), STATE)


def test_steps_to_keep_are_kept_beside_the_newest(tmp_path):
  path = tmp_path / checkpoints.NAME
  with checkpoints.Checkpoints(path, 2, RUN, keep_steps=(1, 3)) as saved:
    for step in (1, 2, 3, 4):
      saved.save(step, STATE, {})
    saved._manager.wait_until_finished()
    assert saved.steps() == [1, 3, 4]
  with checkpoints.Checkpoints(path, 2, RUN, keep_steps=(3,)) as saved:
    saved.save(5, STATE, {})
    saved._manager.wait_until_finished()
    assert saved.steps() == [3, 4, 5]


def test_a_step_to_keep_that_never_comes_is_an_error():
  checkpoints.check_steps((), 10)
  checkpoints.check_steps((3, 10), 10)
  message = r"keep_steps names step 12, but the order has 10 steps"
  with pytest.raises(errors.InputError, match=message):
    checkpoints.check_steps((3, 12), 10)


def test_a_run_saves_and_keeps_named_steps(small, tmp_path, workdirs):
  small.machine.update(keep=1, keep_steps=(3, 7))
  run = workdirs.run(small, tmp_path).run
  with checkpoints.Finished(run) as saved:
    assert saved.steps() == [3, 7, 10]


def test_one_process_locks_a_run(tmp_path):
  holder = subprocess.Popen(
      [sys.executable, "-c", HOLD_LOCK, tmp_path],
      stdout=subprocess.PIPE,
      text=True,
  )
  try:
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(errors.InputError, match="another process trains"):
      with records.lock(tmp_path, 60):
        pass
  finally:
    holder.kill()
    holder.wait()
  with records.lock(tmp_path, 60):
    pass


def test_a_process_that_looks_does_not_refuse_another(tmp_path, monkeypatch):
  path = tmp_path / run_copies.LOCK
  path.touch()
  with open(path, "rb", buffering=0) as looking:
    assert locks.lock(looking, is_shared=True)
    monkeypatch.setattr(locks.time, "sleep", lambda _: looking.close())
    with records.lock(tmp_path, 60):
      assert looking.closed
      assert records.is_trained(tmp_path)
  assert not records.is_trained(tmp_path)


def test_runs_without_locks_are_reported_once(tmp_path, monkeypatch):
  leases, lines = {tmp_path / name: 60.0 for name in "ab"}, []
  for path in leases:
    path.mkdir()
  with records.lock_all(leases, lines.append):
    assert not lines

  def flock(*_):
    raise OSError(errno.ENOLCK, "No locks available")

  monkeypatch.setattr(locks.fcntl, "flock", flock)
  with records.lock_all(leases, lines.append):
    (line,) = lines
  assert f"{tmp_path} is on a file system without locks" in line


@pytest.mark.parametrize("text", [b"1\n23\n4567", b"12345\n", b"123456789"])
def test_a_log_that_lost_its_end_is_cut_to_whole_lines(
    text, tmp_path, monkeypatch
):
  monkeypatch.setattr(records, "_CHUNK", 2)  # Lines are longer.
  path = tmp_path / "perf.jsonl"
  path.write_bytes(text)
  log = records.Log(path, 100)
  log.write({})
  log.close()
  assert path.read_bytes() == text[: text.rfind(b"\n") + 1] + b"{}\n"
