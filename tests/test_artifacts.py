"""Artifacts are whole or not there, whoever makes them."""

import json

import numpy as np
import pytest

from zsgen.core import artifacts, errors


def test_failed_writes_leave_nothing(tmp_path):
  with (
      pytest.raises(RuntimeError, match="no"),
      artifacts.writing(tmp_path / "a") as partial,
  ):
    (partial / "file").write_text("half")
    raise RuntimeError("no")
  assert not list(tmp_path.iterdir())


def test_a_second_writer_keeps_the_existing_artifact(tmp_path):
  path = tmp_path / "a"
  with artifacts.writing(path) as second:
    (second / "file").write_text("second")
    with artifacts.writing(path) as first:
      (first / "file").write_text("first")
  assert [child.name for child in tmp_path.iterdir()] == ["a"]
  assert (path / "file").read_text() == "first"


def test_names_are_hashes_of_recipes():
  name = artifacts.name("order", {"seed": 0, "pick": "nearest"})
  assert name == artifacts.name("order", {"pick": "nearest", "seed": 0})
  assert name != artifacts.name("order", {"pick": "nearest", "seed": 1})


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (None, "has no manifest.json"),
        ([], "is not the manifest of a run"),
        ({"kind": ["run"]}, "is not the manifest of a run"),
        ({"kind": "order"}, "is not the manifest of a run"),
        ({"kind": "run", "made_by": {}}, "the field store is missing"),
    ],
)
def test_invalid_manifests(tmp_path, manifest, message):
  if manifest is not None:
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
  with pytest.raises(errors.InputError, match=message):
    artifacts.read_manifest(tmp_path, "run")


def _write(path, **fields):
  manifest = {"kind": "run", "made_by": {"seed": 0}, "batch_size": 4}
  manifest |= {"store": "s", "order": "o", "steps": 9} | fields
  path.mkdir(parents=True)
  artifacts.write_manifest(path, manifest)
  return path


def test_any_changed_field_of_a_manifest_is_noticed(tmp_path):
  path = _write(tmp_path / "a", made_by={"a": (1, 2.5), 7: None})
  manifest = artifacts.read_manifest(path, "run")
  assert manifest["made_by"] == {"a": [1, 2.5], "7": None}
  file = path / artifacts.MANIFEST
  content = file.read_bytes()
  for position in range(len(content)):
    changed = bytearray(content)
    changed[position] ^= 2
    file.write_bytes(changed)
    try:
      read = artifacts.read_manifest(path, "run")
    except errors.InputError as error:
      assert str(file) in str(error)
    else:  # The name of the digest, or space between fields.
      assert {**manifest, **read, "digest": ""} == {
          **manifest,
          "digest": "",
          **{key: read[key] for key in read if key not in manifest},
      }


def test_a_differing_field_is_named_by_its_full_path(tmp_path):
  path = _write(
      tmp_path / "a", made_by={"model": {"width": 8, "pattern": (1,)}}
  )
  expected = {"model": {"width": 8, "pattern": (1,)}}
  assert artifacts.check_made_by(path, expected)["steps"] == 9
  expected["model"]["width"] = 9
  with pytest.raises(
      errors.InputError, match=r"made_by\.model\.width is 8, bu"
  ):
    artifacts.check_made_by(path, expected)


def test_a_misnamed_directory_is_refused(tmp_path):
  recipe = {"seed": 0}
  path = _write(tmp_path / artifacts.name("tmt-a", recipe), made_by=recipe)
  assert artifacts.read_manifest(path)["steps"] == 9
  moved = path.rename(tmp_path / artifacts.name("tmt-a", {"seed": 1}))
  with pytest.raises(errors.InputError, match=f"this run is {path.name}"):
    artifacts.read_manifest(moved)
  link = tmp_path / "latest-0123456789"
  moved.rename(path)
  link.symlink_to(path)
  assert artifacts.read_manifest(link)["steps"] == 9


@pytest.mark.parametrize(
    ("location", "message"),
    [
        (
            "orders/tmt-0123456789",
            r"delete .*/orders/tmt-0123456789 to have it",
        ),
        ("runs/tmt-0123456789", r"delete .*/manifest\.json if it exists"),
        ("tmt-0123456789", r"delete .*/tmt-0123456789 to have it"),
        ("photos", "check the path"),
    ],
)
def test_advice_depends_on_the_directory(tmp_path, location, message):
  (tmp_path / location).mkdir(parents=True)
  for content in (None, "", "{", "[" * 10**6, "\x00"):
    if content is not None:
      (tmp_path / location / "manifest.json").write_text(content)
    with pytest.raises(errors.InputError, match=message):
      artifacts.read_manifest(tmp_path / location)


def test_all_changed_files_are_named(tmp_path):
  (tmp_path / "a").mkdir()
  for name in ("a/one", "two", "three"):
    (tmp_path / name).write_text(name)
  files = artifacts.describe_files(tmp_path)
  assert list(files) == ["a/one", "three", "two"]
  artifacts.check_files(tmp_path, files)
  (tmp_path / "a" / "one").write_text("1")
  (tmp_path / "two").unlink()
  first, second = artifacts.file_problems(tmp_path, files)
  assert "a/one: is damaged" in first and "two: is missing" in second


@pytest.mark.parametrize("position", range(0, 128, 3))
def test_a_damaged_array_is_one_error(tmp_path, position):
  np.save(tmp_path / "a.npy", np.arange(9))
  content = bytearray((tmp_path / "a.npy").read_bytes())
  content[position] ^= 0x21
  (tmp_path / "a.npy").write_bytes(content)
  try:
    assert artifacts.load_array(tmp_path / "a.npy").size < 10
  except errors.InputError as error:
    assert "a.npy: cannot be read as an array" in str(error)
