"""A prepare that is stopped, starved, doubled or given other files."""

import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.helpers import artifact_files
from zsgen.core import config, errors
from zsgen.data import chunks, prepare, sources
from zsgen.data.sources import example_file

_ROOT = pathlib.Path(__file__).parents[2]
# Small chunks, of which each takes a while.
_SCRIPT = """
import pathlib, sys, time
from zsgen.core import command, config, errors
from zsgen.data import chunks, prepare
chunks.SIZE = 20
write = chunks.write
def slowly(*args):
  time.sleep(float(sys.argv[3]))
  write(*args)
chunks.write = slowly
data = config.build(config.Data, 
    source="table", path=sys.argv[2], heldout={"h": config.Heldout(share=0.2)}
)
try:
  prepare.prepare(pathlib.Path(sys.argv[1]), data, 0, print)
except errors.InputError as error:
  sys.exit(f"said: {error}")
"""


def _rows(path: pathlib.Path, answer: str = "yes") -> pathlib.Path:
  """Writes a table of 400 rows, 10 tasks and 20 chunks."""
  rows = [
      {"task": f"t{i % 10}", "input": f"{i} " * (i % 40 + 1), "target": answer}
      for i in range(400)
  ]
  path.write_text("\n".join(map(json.dumps, rows)))
  return path


def _data(rows: pathlib.Path) -> config.Data:
  """Returns the options of `_SCRIPT`."""
  return config.build(
      config.Data,
      source="table",
      path=str(rows),
      heldout={"h": config.Heldout(share=0.2)},
  )


def _start(
    root: pathlib.Path, rows: pathlib.Path, seconds: float = 0.0, **options
) -> subprocess.Popen:
  return subprocess.Popen(
      [sys.executable, "-c", _SCRIPT, str(root), str(rows), str(seconds)],
      cwd=_ROOT,
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
      **options,
  )


def _finish(process: subprocess.Popen) -> str:
  """Returns the output of a process that must succeed."""
  output = process.communicate(timeout=60)[0]
  assert process.returncode == 0, output
  return output


def _kill_at(
    process: subprocess.Popen, root: pathlib.Path, pattern: str, count: int = 1
) -> None:
  """Kills a process as soon as so many files are there."""
  until = time.monotonic() + 60
  while len(list(root.glob(pattern))) < count:
    assert process.poll() is None, process.communicate()[0]
    assert time.monotonic() < until
    time.sleep(0.002)
  process.send_signal(signal.SIGKILL)
  process.communicate()


def _partial(root: pathlib.Path) -> list[str]:
  return sorted(path.name for path in root.glob(".*.partial"))


@pytest.fixture
def rows(tmp_path):
  return _rows(tmp_path / "rows.jsonl")


@pytest.fixture
def expected_content(tmp_path, rows, monkeypatch):
  """Returns what an uninterrupted prepare makes, of chunks as in `_SCRIPT`."""
  with monkeypatch.context() as patched:
    patched.setattr(chunks, "SIZE", 20)
    prepare.prepare(tmp_path / "whole", _data(rows), 0)
  return artifact_files.read_all(tmp_path / "whole")


def test_a_store_survives_repeated_kills(tmp_path, rows, expected_content):
  root = tmp_path / "killed"
  for count in (1, 4, 9):
    _kill_at(_start(root, rows, 0.05), root, ".*.partial/*.arrow", count)
  # After the last chunk but some, and while the store is written.
  _kill_at(_start(root, rows, 0.05), root, ".*.partial/chunk-00012.arrow")
  _kill_at(_start(root, rows), root, ".*[!l]/tasks.parquet")
  output = _finish(_start(root, rows))
  assert re.search(
      r"continues after 400 examples|continues after 3\d\d", output
  )
  assert artifact_files.read_all(root) == expected_content


def test_a_kill_after_the_store_is_complete_leaves_nothing(
    tmp_path, rows, expected_content
):
  root = tmp_path / "killed"
  _finish(_start(root, rows))
  (store,) = root.iterdir()
  for stale in ("1234567890ab", "1234567890.partial"):
    shutil.copytree(store, root / f".{store.name}.{stale}")
  _finish(_start(root, rows))
  assert artifact_files.read_all(root) == expected_content


@pytest.mark.parametrize(
    "ahead",
    [
        5,
        pytest.param(0, marks=pytest.mark.slow),
        pytest.param(12, marks=pytest.mark.slow),
    ],
)
def test_two_processes_make_one_store(tmp_path, rows, expected_content, ahead):
  root = tmp_path / "two"
  first = _start(root, rows, 0.03)
  while len(list(root.glob(".*.partial/*.arrow"))) < ahead:
    time.sleep(0.005)
  # The slower one finds its chunks gone when the other is done.
  second = _start(root, rows, 0.3)
  _finish(first)
  _finish(second)
  assert artifact_files.read_all(root) == expected_content


def test_changed_files_are_encoded_again(tmp_path, rows, expected_content):
  root = tmp_path / "changed"
  _kill_at(_start(root, rows, 0.05), root, ".*.partial/*.arrow", 3)
  (first,) = _partial(root)
  before = rows.stat()
  _rows(rows, "noo")
  # Not to be seen by size and time.
  os.utime(rows, ns=(before.st_atime_ns, before.st_mtime_ns))
  _kill_at(_start(root, rows, 0.05), root, ".*.partial/*.arrow", 4)
  assert first in _partial(root)
  _finish(_start(root, rows))
  fresh = tmp_path / "fresh"
  _finish(_start(fresh, rows))
  assert (
      artifact_files.read_all(root)
      == artifact_files.read_all(fresh)
      != expected_content
  )


def test_a_touched_file_is_not_encoded_again(tmp_path, rows):
  root = tmp_path / "touched"
  _kill_at(_start(root, rows, 0.05), root, ".*.partial/*.arrow", 3)
  rows.touch()
  assert "continues after" in _finish(_start(root, rows))


def test_a_file_that_changes_meanwhile_makes_no_store(tmp_path, rows):
  root = tmp_path / "changed"
  process = _start(root, rows, 0.05)
  while len(list(root.glob(".*.partial/*.arrow"))) < 3:
    time.sleep(0.005)
  _rows(rows, "no")
  output = process.communicate(timeout=60)[0]
  assert process.returncode == 1
  assert "said: " in output and "changed while" in output
  assert not list(root.iterdir())


def test_a_full_disk_keeps_whole_chunks_only(tmp_path, rows, expected_content):
  root = tmp_path / "full"

  def limited():
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

  process = _start(root, rows, preexec_fn=limited)
  output = process.communicate(timeout=60)[0]
  assert process.returncode == 1
  assert output.count("said: ") == 1 and "cannot be written" in output
  (partial,) = root.iterdir()
  assert {path.suffix for path in partial.iterdir()} == {".arrow"}
  assert not list(partial.glob(".*"))
  _finish(_start(root, rows))
  assert artifact_files.read_all(root) == expected_content


def test_chunks_of_another_size_are_not_reused(tmp_path, rows, monkeypatch):
  root = tmp_path / "sizes"
  _kill_at(_start(root, rows, 0.05), root, ".*.partial/*.arrow", 3)
  monkeypatch.setattr(chunks, "SIZE", 7)
  store = prepare.prepare(root, _data(rows), 0)
  assert len(store) == 330  # 8 tasks of 40 rows, 2 held out of 5.


def test_damaged_chunks_are_reported_and_removed(tmp_path, rows):
  root = tmp_path / "damaged"
  _kill_at(_start(root, rows, 0.05), root, ".*.partial/*.arrow", 3)
  (partial,) = root.glob(".*.partial")
  (partial / "chunk-00001.arrow").write_bytes(b"")
  process = _start(root, rows)
  assert "is damaged" in process.communicate(timeout=60)[0]
  assert process.returncode == 1
  assert not list(root.iterdir())
  _finish(_start(root, rows))


def test_chunks_are_joined_while_others_are_encoded(
    tmp_path, rows, expected_content, monkeypatch
):
  root, write, joined = tmp_path / "joined", chunks.write, []

  def record(*args):
    (tokens,) = root.glob(".*[!l]/tokens.bin")
    joined.append(tokens.stat().st_size)
    write(*args)

  monkeypatch.setattr(chunks, "SIZE", 20)
  monkeypatch.setattr(chunks, "write", record)
  prepare.prepare(root, _data(rows), 0)
  assert joined[0] == 0 and joined[-1] > 0
  assert artifact_files.read_all(root) == expected_content


def test_another_list_of_tasks_is_another_store(tmp_path, rows):
  for name in ("a", "b"):
    tasks_file = tmp_path / f"{name}.txt"
    tasks_file.write_text({"a": "t1", "b": "t2"}[name])
    sets = {"h": config.Heldout(tasks_file=str(tasks_file))}
    data = config.build(
        config.Data, source="table", path=str(rows), heldout=sets
    )
    store = prepare.prepare(tmp_path / "stores", data, 0)
    task = store.tasks[store.split_tasks("h")[0]]
    assert task == tasks_file.read_text()


def test_a_full_scratch_is_reported(tmp_path, rows, monkeypatch):
  monkeypatch.setattr(example_file, "_ROWS", 500)
  packed = tmp_path / "rows.csv"
  packed.write_text("task,input,target\n" + "a,b,c\n" * 2000)
  data = _data(packed)
  before = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
  try:
    with pytest.raises(errors.InputError, match=r"scratch: rows of the source"):
      sources.load(data, 0, tmp_path / "scratch")
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
  assert not list((tmp_path / "scratch").iterdir())
