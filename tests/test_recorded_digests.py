"""Records of digests: used while a file is what it was, and only then."""

import hashlib
import json
import os

import pytest

from zsgen.core import artifacts, errors
from zsgen.core.artifacts import hashing, recorded
from zsgen.pipeline import conversion


@pytest.fixture
def hashed(monkeypatch):
  """Returns the names of hashed files; every file counts as large."""
  names = []
  original = hashing.file_digest

  def file_digest(path):
    names.append(path.name)
    return original(path)

  monkeypatch.setattr(hashing, "file_digest", file_digest)
  monkeypatch.setattr(recorded, "_SMALLEST", 10)
  return names


@pytest.fixture
def directory(tmp_path, monkeypatch):
  monkeypatch.setattr(recorded, "_RECENT", 0)
  (tmp_path / "large").write_bytes(b"0123456789")
  (tmp_path / "small").write_bytes(b"012")
  return tmp_path


def _digests(directory):
  return recorded.file_digests(directory, ["large", "small"])


def _expected(directory):
  return {
      name: hashlib.sha256((directory / name).read_bytes()).hexdigest()
      for name in ("large", "small")
  }


def test_large_files_are_hashed_once(directory, hashed):
  assert _digests(directory) == _expected(directory)
  assert sorted(hashed) == ["large", "small"]
  hashed.clear()
  assert _digests(directory) == _expected(directory)
  assert hashed == ["small"]


@pytest.mark.parametrize("restored", [False, True])
def test_a_changed_file_of_the_same_size_is_hashed(directory, hashed, restored):
  _digests(directory)
  path = directory / "large"
  status = path.stat()
  path.write_bytes(b"0123456780")
  if restored:  # As copies that preserve times do.
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
  hashed.clear()
  assert _digests(directory) == _expected(directory)
  assert "large" in hashed
  hashed.clear()
  assert _digests(directory) == _expected(directory)
  assert hashed == ["small"]  # The record was replaced.


def test_a_file_that_changed_just_now_is_not_recorded(
    directory, hashed, monkeypatch
):
  monkeypatch.setattr(recorded, "_RECENT", 10**12)
  _digests(directory)
  assert not (directory / artifacts.RECORDS).exists()


def test_a_file_that_changes_while_it_is_hashed_is_not_recorded(
    directory, monkeypatch
):
  monkeypatch.setattr(recorded, "_SMALLEST", 10)

  def file_digest(path):
    path.write_bytes(b"0123456789 and more")
    return "0" * 64

  monkeypatch.setattr(hashing, "file_digest", file_digest)
  _digests(directory)
  assert not (directory / artifacts.RECORDS).exists()


def test_records_of_other_files_are_kept(directory, hashed):
  _digests(directory)
  (directory / "other").write_bytes(b"0123456789")
  recorded.file_digests(directory, ["other"])
  hashed.clear()
  recorded.file_digests(directory, ["large", "other"])
  assert not hashed


def test_damaged_records_are_errors(directory, hashed):
  _digests(directory)
  path = directory / artifacts.RECORDS
  content = json.loads(path.read_text())
  content["files"]["large"]["sha256"] = "0" * 64
  unsealed = {
      name: value for name, value in content.items() if name != "digest"
  }
  for text in (json.dumps(content), json.dumps(unsealed), "[]", "{", ""):
    path.write_text(text)
    with pytest.raises(errors.InputError, match="delete it, and the files"):
      _digests(directory)
  path.unlink()
  assert _digests(directory) == _expected(directory)


def test_a_read_only_directory(directory, hashed, monkeypatch):
  def fail(*_):
    raise PermissionError(13, "Permission denied", str(directory))

  monkeypatch.setattr(recorded.sealing, "write_sealed", fail)
  for _ in range(2):
    assert _digests(directory) == _expected(directory)
  assert sorted(hashed) == ["large", "large", "small", "small"]


def test_an_export_is_compared_with_its_records(directory, hashed):
  """Checks that the manifest decides, whoever hashed the file."""
  manifest = {"kind": "export", "made_by": {}}
  artifacts.write_manifest(directory, manifest)
  names = ["large", "small"]
  for _ in range(2):
    assert artifacts.digest_used(directory, names) == _expected(directory)
  (directory / "large").write_bytes(b"0123456780")
  for _ in range(2):
    with pytest.raises(errors.InputError, match="is not what zsgen wrote"):
      artifacts.digest_used(directory, names)


def test_a_converted_directory_may_have_records_and_provenance(
    directory, hashed
):
  recipe = conversion.describe("0" * 64)
  artifacts.write_manifest(directory, {"kind": "export", "made_by": recipe})
  _digests(directory)
  for name in (artifacts.RECORDS, artifacts.PROVENANCE):
    assert (directory / name).exists()
  assert conversion.is_there(directory, recipe)
