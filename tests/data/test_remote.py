"""Paths in a bucket: copied once, then as local ones."""

import json
import sys

import fsspec
import pytest

from zsgen.core import config, errors, storage
from zsgen.data import sources

HELDOUT = {"heldout": config.Heldout(tasks=("b",))}


@pytest.fixture
def bucket(monkeypatch):
  """Returns the empty file system of memory://, with two files in data/."""
  system = fsspec.filesystem("memory")
  monkeypatch.setattr(type(system), "store", {})
  monkeypatch.setattr(type(system), "pseudo_dirs", [""])
  for name, task in (("one.jsonl", "a"), ("more/two.jsonl", "b")):
    row = {"task": task, "input": "q", "target": "a"}
    system.pipe(f"/data/{name}", json.dumps(row).encode())
  return system


def _suite(path, scratch):
  data = config.build(config.Data, source="table", path=path, heldout=HELDOUT)
  return sources.load(data, 0, scratch)


def test_a_directory_a_glob_and_a_file(bucket, tmp_path):
  scratch = tmp_path / "scratch"
  suite = _suite("memory://data", scratch)
  assert [example.task for example in suite.examples()] == ["a", "b"]
  assert all(scratch in file.parents for file in suite.files)
  changed = bucket.cat("/data/more/two.jsonl").replace(b'"b"', b'"c"')
  bucket.pipe("/data/more/three.jsonl", changed)
  suite = _suite("memory://data/mor*/t*.jsonl", scratch)
  assert [example.task for example in suite.examples()] == ["c", "b"]
  with pytest.raises(errors.InputError, match="no task 'b'"):
    _suite("memory://data/one.jsonl", scratch)


def test_files_that_are_too_deep_are_reported(bucket, tmp_path):
  row = bucket.cat("/data/one.jsonl")
  bucket.pipe("/data/more/x/y/z/three.jsonl", row)
  message = (
      r"'memory://data': more/x/y/z/three\.jsonl is data that is not read"
      r".*config\.data\.path='memory://data/\*/\*/\*/\*/\*\.jsonl'\.$"
  )
  with pytest.raises(errors.InputError, match=message):
    _suite("memory://data", tmp_path / "scratch")
  with pytest.raises(errors.InputError, match="no task 'b'"):
    # The message's advice: this file alone.
    _suite("memory://data/*/*/*/*/*.jsonl", tmp_path / "scratch")


def test_files_are_copied_once_and_again_when_changed(bucket, tmp_path):
  scratch = tmp_path / "scratch"
  copies = _suite("memory://data", scratch).files
  before = [copy.stat().st_mtime_ns for copy in copies]
  _suite("memory://data", scratch)
  assert [copy.stat().st_mtime_ns for copy in copies] == before
  row = bucket.cat("/data/one.jsonl")
  bucket.pipe("/data/one.jsonl", row.replace(b'"q"', b'"r"'))  # As long.
  examples = _suite("memory://data", scratch).examples()
  assert [example.input for example in examples] == ["r", "q"]
  bucket.rm("/data/one.jsonl")
  bucket.pipe("/data/other.jsonl", row)
  copies = _suite("memory://data", scratch).files
  assert [copy.name for copy in copies] == ["other.jsonl", "two.jsonl"]


def test_missing_paths(bucket, tmp_path):
  for path in ("memory://data/none.jsonl", "memory://data/*.csv", "no://where"):
    with pytest.raises(errors.InputError, match=r"where|not there"):
      _suite(path, tmp_path / "scratch")


def test_a_missing_package_is_reported_with_its_extra(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, "gcsfs", None)
  known = vars(sys.modules["fsspec.registry"])["_registry"]
  monkeypatch.delitem(known, "gs", raising=False)  # Perhaps imported before.
  with pytest.raises(errors.InputError, match=r"gcsfs.*pip install .*\[gcs\]"):
    _suite("gs://data/one.jsonl", tmp_path)


def test_a_name_that_leads_out_of_the_copies_is_an_error(bucket, tmp_path):
  bucket.store["/data/../../x.jsonl"] = bucket.store["/data/one.jsonl"]
  with pytest.raises(errors.InputError, match="must name a file inside"):
    _suite("memory://data", tmp_path / "scratch")
  assert not (tmp_path / "scratch" / "x.jsonl").exists()


def test_a_bucket_of_google(bucket_url, tmp_path):
  objects = storage.Bucket(bucket_url)
  objects.write("a.jsonl", b'{"task": "a", "input": "q", "target": "a"}')
  objects.write("b.jsonl", b'{"task": "b", "input": "q", "target": "a"}')
  copies = _suite(bucket_url, tmp_path / "scratch").files
  objects.write("a.jsonl", b'{"task": "a", "input": "r", "target": "a"}')
  examples = _suite(bucket_url, tmp_path / "scratch").examples()
  assert [example.input for example in examples] == ["r", "q"]
  assert [copy.name for copy in copies] == ["a.jsonl", "b.jsonl"]
