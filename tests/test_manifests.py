"""Manifests have one layout; those of older versions can be read."""

import json
import pathlib

import pytest

from zsgen.core import artifacts, errors


def _export(path: pathlib.Path) -> pathlib.Path:
  """Writes an artifact of two files."""
  (path / "part").mkdir(parents=True)
  (path / "one.txt").write_text("one")
  (path / "part" / "two.txt").write_text("two and more")
  artifacts.write_manifest(path, {"kind": "export", "made_by": {"run": "a"}})
  return path


def _content(path: pathlib.Path) -> dict:
  return json.loads((path / artifacts.MANIFEST).read_text("utf-8"))


def _as_first_layout(path: pathlib.Path) -> dict:
  """Rewrites a manifest as versions without a format wrote it."""
  fields = _content(path)
  del fields["format"], fields["digest"]
  fields["files"] = {
      name: written["sha256"] for name, written in fields["files"].items()
  }
  artifacts.write_sealed(path / artifacts.MANIFEST, fields)
  return fields


def test_the_writer_describes_the_files(tmp_path):
  path = _export(tmp_path / "a")
  fields = _content(path)
  assert sorted(fields) == ["digest", "files", "format", "kind", "made_by"]
  assert {name: f["bytes"] for name, f in fields["files"].items()} == {
      "one.txt": 3,
      "part/two.txt": 12,
  }
  assert artifacts.read_manifest(path, "export") == fields
  artifacts.check_files(path, fields["files"])


def test_manifests_of_growing_kinds_list_no_files(tmp_path):
  artifacts.write_manifest(tmp_path, {"kind": "population", "made_by": {}})
  assert "files" not in artifacts.read_manifest(tmp_path)


def test_the_first_layout_is_upgraded(tmp_path):
  path = _export(tmp_path / "a")
  current = artifacts.read_manifest(path)
  before = _as_first_layout(path)
  upgraded = artifacts.read_manifest(path, "export")
  assert upgraded["files"].keys() == before["files"].keys()
  for name, written in upgraded["files"].items():
    assert written == {"sha256": current["files"][name]["sha256"]}
  artifacts.check_files(path, upgraded["files"])
  (path / "one.txt").write_text("two")
  with pytest.raises(errors.InputError, match=r"one\.txt: is damaged: its SHA"):
    artifacts.check_files(path, upgraded["files"])
  with pytest.raises(errors.InputError, match="not what zsgen wrote"):
    artifacts.digest_used(path, ["one.txt"])


@pytest.mark.parametrize("kind", ["embeddings", None])
@pytest.mark.parametrize("name", ["vectors.npz", "vectors.npy"])
def test_embeddings_of_the_first_layout(tmp_path, kind, name):
  (tmp_path / name).write_bytes(b"vectors")
  digest = artifacts.file_digest(tmp_path / name)
  fields = {"made_by": {}, "sha256": digest, "shape": [1, 1]}
  if kind:
    fields["kind"] = kind
  artifacts.write_json(tmp_path / artifacts.MANIFEST, fields)
  manifest = artifacts.read_manifest(tmp_path, "embeddings")
  assert manifest["files"] == {name: {"sha256": digest}}
  assert not artifacts.has_digest(manifest)


def test_a_changed_length_is_damage_without_hashing(tmp_path):
  path = _export(tmp_path / "a")
  (path / "one.txt").write_text("one more")
  problems = artifacts.file_problems(path, _content(path)["files"])
  assert ["it has 8 bytes, but 3 were" in problem for problem in problems] == [
      True
  ]


def test_a_newer_layout_is_refused(tmp_path):
  path = _export(tmp_path / "a")
  fields = {**_content(path), "format": 9}
  artifacts.write_sealed(path / artifacts.MANIFEST, fields)
  with pytest.raises(errors.InputError, match="has format 9, but this version"):
    artifacts.read_manifest(path)


def test_a_digest_cannot_be_removed(tmp_path):
  path = _export(tmp_path / "a")
  fields = _content(path)
  del fields["digest"]
  artifacts.write_json(path / artifacts.MANIFEST, fields)
  with pytest.raises(errors.InputError, match="it has no digest"):
    artifacts.read_manifest(path)
