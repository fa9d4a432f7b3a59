"""Paths in a bucket: copied once, then as local ones."""

import json
import os
import sys

from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem
import pytest

from zsgen.core import config, errors
from zsgen.data import sources

HELDOUT = {"heldout": config.Heldout(tasks=("b",))}


class _Bucket(DirFileSystem):
  """A local directory behind etils' own gs:// paths."""

  def _join(self, path):
    if isinstance(path, str):
      path = path.removeprefix("gs://")
    return super()._join(path)


@pytest.fixture
def bucket(tmp_path, monkeypatch):
  """Returns the directory of gs://data."""
  from etils.epath import backend

  system = _Bucket(path=str(tmp_path / "gs"), fs=LocalFileSystem())
  monkeypatch.setattr(
      backend._FileSystemSpecBackend, "_get_filesystem", lambda *_: system
  )
  directory = tmp_path / "gs" / "data"
  (directory / "more").mkdir(parents=True)
  for name, task in (("one.jsonl", "a"), ("more/two.jsonl", "b")):
    row = {"task": task, "input": "q", "target": "a"}
    (directory / name).write_text(json.dumps(row))
  return directory


def _suite(path, scratch):
  data = config.build(config.Data, source="table", path=path, heldout=HELDOUT)
  return sources.load(data, 0, scratch)


def test_a_directory_a_glob_and_a_file(bucket, tmp_path):
  scratch = tmp_path / "scratch"
  suite = _suite("gs://data", scratch)
  assert [example.task for example in suite.examples()] == ["a", "b"]
  assert all(scratch in file.parents for file in suite.files)
  changed = (bucket / "more/two.jsonl").read_text().replace('"b"', '"c"')
  (bucket / "more/three.jsonl").write_text(changed)
  suite = _suite("gs://data/mor*/t*.jsonl", scratch)
  assert [example.task for example in suite.examples()] == ["c", "b"]
  with pytest.raises(errors.InputError, match="no task 'b'"):
    _suite("gs://data/one.jsonl", scratch)


def test_files_that_are_too_deep_are_reported(bucket, tmp_path):
  deep = bucket / "more/x/y/z/three.jsonl"
  deep.parent.mkdir(parents=True)
  deep.write_text((bucket / "one.jsonl").read_text())
  message = (
      r"'gs://data': more/x/y/z/three\.jsonl is data that is not read"
      r".*config\.data\.path='gs://data/\*/\*/\*/\*/\*\.jsonl'\.$"
  )
  with pytest.raises(errors.InputError, match=message):
    _suite("gs://data", tmp_path / "scratch")
  with pytest.raises(errors.InputError, match="no task 'b'"):
    # The message's advice: this file alone.
    _suite("gs://data/*/*/*/*/*.jsonl", tmp_path / "scratch")


def test_files_are_copied_once_and_again_when_newer(bucket, tmp_path):
  scratch = tmp_path / "scratch"
  copies = _suite("gs://data", scratch).files
  before = [copy.stat().st_mtime_ns for copy in copies]
  _suite("gs://data", scratch)
  assert [copy.stat().st_mtime_ns for copy in copies] == before
  changed = bucket / "one.jsonl"
  changed.write_text(changed.read_text().replace('"q"', '"r"'))
  later = changed.stat().st_mtime + 100
  os.utime(changed, (later, later))
  examples = _suite("gs://data", scratch).examples()
  assert [example.input for example in examples] == ["r", "q"]
  row = changed.read_text()
  changed.unlink()
  (bucket / "other.jsonl").write_text(row)
  copies = _suite("gs://data", scratch).files
  assert [copy.name for copy in copies] == ["other.jsonl", "two.jsonl"]


def test_missing_paths(bucket, tmp_path):
  for path in ("gs://data/none.jsonl", "gs://data/*.csv", "no://where"):
    with pytest.raises(errors.InputError, match=r"where|not there"):
      _suite(path, tmp_path / "scratch")


def test_a_missing_package_is_reported_with_its_extra(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, "gcsfs", None)
  with pytest.raises(errors.InputError, match=r"gcsfs.*pip install .*\[gcs\]"):
    _suite("gs://data/one.jsonl", tmp_path)
