"""Artifacts are whole or not there, whoever makes them."""

import json

import pytest

from zsgen import artifacts, errors


def test_nothing_is_left_of_what_failed(tmp_path):
  with (
      pytest.raises(RuntimeError, match="no"),
      artifacts.writing(tmp_path / "a") as beside,
  ):
    (beside / "file").write_text("half")
    raise RuntimeError("no")
  assert not list(tmp_path.iterdir())


def test_whoever_comes_second_keeps_what_is_there(tmp_path):
  path = tmp_path / "a"
  with artifacts.writing(path) as second:
    (second / "file").write_text("second")
    with artifacts.writing(path) as first:
      (first / "file").write_text("first")
  assert [each.name for each in tmp_path.iterdir()] == ["a"]
  assert (path / "file").read_text() == "first"


def test_names_are_hashes_of_what_makes_them():
  one = artifacts.name("order", {"seed": 0, "pick": "nearest"})
  assert one == artifacts.name("order", {"pick": "nearest", "seed": 0})
  assert one != artifacts.name("order", {"pick": "nearest", "seed": 1})


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (None, "there is no manifest.json"),
        ([], "is not that of a run"),
        ({"kind": ["run"]}, "is not that of a run"),
        ({"kind": "order"}, "is not that of a run"),
        ({"kind": "run", "made_by": {}}, "the field store is missing"),
    ],
)
def test_manifests_that_are_wrong(tmp_path, manifest, said):
  if manifest is not None:
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
  with pytest.raises(errors.InputError, match=said):
    artifacts.read_manifest(tmp_path, "run")
