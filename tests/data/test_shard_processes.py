"""The command that prepares shards, in real processes that are killed."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.helpers import artifact_files

_ROOT = pathlib.Path(__file__).parents[2]
_CONFIG = """
import zsgen
from zsgen.data import chunks
from zsgen.data.sources import items

# Small, and slow enough to be killed in between.
chunks.SIZE, items.SIZE = 40, 3000


def get_config():
  config = zsgen.default_config()
  config.data.source = "table"
  config.data.path = {path!r}
  config.data.heldout = {{"heldout": {{"share": 0.2}}}}
  return config
"""

pytestmark = pytest.mark.slow


@pytest.fixture
def config(tmp_path) -> pathlib.Path:
  """Writes 800 rows and a config of them."""
  rows = [
      {"task": f"t{i % 10}", "input": f"{i} " * (i % 40 + 1), "target": "yes"}
      for i in range(800)
  ]
  (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
  path = tmp_path / "shards_config.py"
  path.write_text(_CONFIG.format(path=str(tmp_path / "rows.jsonl")))
  return path


def _start(config: pathlib.Path, workdir: str, *flags: str) -> subprocess.Popen:
  command = [sys.executable, "-m", "zsgen.data", "prepare"]
  command += [f"--config={config}", f"--workdir={config.parent / workdir}"]
  return subprocess.Popen(
      [*command, *flags],
      cwd=_ROOT,
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
      env={**os.environ, "PYTHONPATH": str(_ROOT)},
  )


def _finish(process: subprocess.Popen, code: int = 0) -> str:
  output = process.communicate(timeout=120)[0]
  assert process.returncode == code, output
  return output


def test_the_commands_of_the_page(tmp_path, config):
  whole = _finish(_start(config, "whole"))
  assert "fingerprint" in whole
  first = _finish(_start(config, "shards", "--shard=0/2"))
  assert "Other shards have to scan" in first
  second = _finish(_start(config, "shards", "--shard=1/2"))
  assert "All are scanned" in second
  assert "encoded" in _finish(_start(config, "shards", "--shard=1/2"))
  refused = _finish(_start(config, "shards", "--merge"), 2)
  assert "chunks are not encoded: 0, 2, 4" in refused
  assert "encoded" in _finish(_start(config, "shards", "--shard=0/2"))
  merged = _finish(_start(config, "shards", "--merge"))
  waiting = [
      _start(config, "waiting", f"--shard={i}/2", "--wait=100") for i in (0, 1)
  ]
  assert all("encoded" in _finish(process) for process in waiting)
  _finish(_start(config, "waiting", "--merge"))
  artifact_files.assert_same(
      tmp_path / "waiting" / "stores", tmp_path / "whole" / "stores"
  )
  assert merged.split("fingerprint")[1] == whole.split("fingerprint")[1]
  again = _finish(_start(config, "shards", "--shard=0/2"))
  assert "shard 0/2: the store exists already" in again
  assert "scanned" not in again
  artifact_files.assert_same(
      tmp_path / "shards" / "stores", tmp_path / "whole" / "stores"
  )
  both = _finish(_start(config, "shards", "--merge", "--shard=0/2"), 2)
  assert "two commands" in both
  assert "is not INDEX/COUNT" in _finish(_start(config, "x", "--shard=2/2"), 2)


def test_workers_that_are_killed_and_started_again(tmp_path, config):
  """Kills most of three workers of two shards at a time."""
  _finish(_start(config, "whole"))
  rng, kills, stores = random.Random(0), 0, tmp_path / "killed" / "stores"
  for _ in range(6):
    started = [
        _start(config, "killed", f"--shard={index}/2") for index in (0, 1, 1)
    ]
    begin, count = _count(stores), rng.randint(1, 12)
    while _count(stores) < begin + count and started[0].poll() is None:
      time.sleep(0.002)
    for process in started:
      if process.poll() is None:
        process.send_signal(signal.SIGKILL)
        kills += 1
      process.communicate()
  assert kills > 5
  for index in (0, 1, 0, 1):
    _finish(_start(config, "killed", f"--shard={index}/2"))
  merge = _start(config, "killed", "--merge")
  while not list(stores.glob(".*[!s]/tokens.bin")) and merge.poll() is None:
    time.sleep(0.001)
  merge.send_signal(signal.SIGKILL)
  merge.communicate()
  _finish(_start(config, "killed", "--merge"))
  artifact_files.assert_same(
      tmp_path / "killed" / "stores", tmp_path / "whole" / "stores"
  )


def _count(stores: pathlib.Path) -> int:
  """Returns how much work is committed."""
  return len(list(stores.glob(".*.shards/[cpr]*")))
