"""Names in data stay in their directory."""

import pytest

from zsgen.core import errors, paths


@pytest.mark.parametrize("name", ["a.json", "part/b.arrow", "./c", "new..er"])
def test_names_inside_are_paths(tmp_path, name):
  (tmp_path / "part").mkdir()
  assert paths.resolve_inside(tmp_path, name, "x") == tmp_path / name


@pytest.mark.parametrize(
    "name",
    ["", "../a", "/etc/hostname", "part/../../a", "..\\a", "a\0b", "x" * 5000],
)
def test_names_that_lead_out_are_errors(tmp_path, name):
  with pytest.raises(errors.InputError, match="must name a file inside"):
    paths.resolve_inside(tmp_path, name, "state.json")


def test_symlinks_that_lead_out_are_errors(tmp_path):
  home, outside = tmp_path / "home", tmp_path / "outside"
  home.mkdir()
  outside.mkdir()
  (home / "link").symlink_to(outside)
  (home / "alias").symlink_to("kept")
  with pytest.raises(errors.InputError, match="link/a"):
    paths.resolve_inside(home, "link/a", "x")
  assert paths.resolve_inside(home, "alias", "x") == home / "alias"


def test_the_directory_itself_may_be_a_symlink(tmp_path):
  (tmp_path / "real").mkdir()
  (tmp_path / "data").symlink_to("real")
  path = paths.resolve_inside(tmp_path / "data", "a", "x")
  assert path == tmp_path / "data" / "a"


def test_the_hubs_cache_has_symlinks_to_its_blobs(tmp_path):
  snapshot, blobs = (
      tmp_path / "repo/snapshots/abc/part",
      tmp_path / "repo/blobs",
  )
  snapshot.mkdir(parents=True)
  blobs.mkdir()
  (blobs / "123").write_text("x")
  (snapshot / "a").symlink_to("../../../blobs/123")
  (snapshot / "b").symlink_to("../../../../outside")
  assert paths.resolve_inside(snapshot, "a", "x").read_text() == "x"
  with pytest.raises(errors.InputError, match="'b' must name a file inside"):
    paths.resolve_inside(snapshot, "b", "x")
