"""Artifacts of workdirs in buckets."""

import pathlib

import pytest

from zsgen.core import artifacts, errors, storage

RECIPE = {"seed": 1}


def write(workdir: pathlib.Path, recipe: dict = RECIPE) -> pathlib.Path:
  """Writes an artifact with two files."""
  path = workdir / "scores" / artifacts.name("length", recipe)
  with artifacts.writing(path) as directory:
    (directory / "values.bin").write_bytes(b"values")
    (directory / "inside").mkdir()
    (directory / "inside" / "more").write_bytes(b"")
    manifest = {"kind": "scores", "made_by": recipe, "store": "", "count": 1}
    artifacts.write_manifest(directory, manifest)
  return path


def test_an_artifact_is_on_another_host(bucket_url, tmp_path):
  first = storage.mount(bucket_url, tmp_path / "first")
  second = storage.mount(bucket_url, tmp_path / "second")
  path = write(first)
  copy = second / path.relative_to(first)
  assert not copy.exists()
  assert artifacts.exists(copy)
  assert artifacts.read_manifest(copy) == artifacts.read_manifest(path)
  assert (copy / "values.bin").read_bytes() == b"values"
  assert artifacts.read_provenance(copy) == artifacts.read_provenance(path)


def test_a_manifest_is_read_from_the_bucket(bucket_url, tmp_path):
  path = write(storage.mount(bucket_url, tmp_path / "first"))
  second = storage.mount(bucket_url, tmp_path / "second")
  copy = second / "scores" / path.name
  assert artifacts.read_manifest(copy, "scores")["count"] == 1


def test_the_manifest_is_uploaded_last(bucket_url, tmp_path, monkeypatch):
  def upload(self, files):
    for file, name in files:
      if name.endswith("values.bin"):
        raise errors.InputError("no network")
      whole(self, [(file, name)])

  whole = storage.Bucket.upload
  monkeypatch.setattr(storage.Bucket, "upload", upload)
  local = storage.mount(bucket_url, tmp_path / "first")
  with pytest.raises(errors.InputError, match="no network"):
    write(local)
  monkeypatch.undo()
  path = local / "scores" / artifacts.name("length", RECIPE)
  second = storage.mount(bucket_url, tmp_path / "second")
  assert not artifacts.exists(second / "scores" / path.name)
  # The next start on this host uploads what it has.
  assert artifacts.exists(path)
  assert artifacts.exists(second / "scores" / path.name)


def test_damage_in_the_bucket_is_one_message(bucket_url, tmp_path):
  path = write(storage.mount(bucket_url, tmp_path / "first"))
  bucket = storage.Bucket(bucket_url)
  bucket.write(f"scores/{path.name}/values.bin", b"valves")
  second = storage.mount(bucket_url, tmp_path / "second")
  copy = second / "scores" / path.name
  with pytest.raises(errors.InputError, match="is damaged in the bucket") as e:
    artifacts.exists(copy)
  assert f"{bucket_url}/scores/{path.name}" in str(e.value)
  assert not list(copy.parent.glob("*"))  # Nothing is left half copied.


def test_a_copy_follows_the_bucket(bucket_url, tmp_path):
  path = write(storage.mount(bucket_url, tmp_path / "first"))
  copy = storage.mount(bucket_url, tmp_path / "second") / "scores" / path.name
  assert artifacts.exists(copy)
  (copy / artifacts.MANIFEST).write_bytes(b"{}")
  assert artifacts.exists(copy)
  assert artifacts.read_manifest(copy)["made_by"] == RECIPE


def test_what_each_host_makes_for_itself_stays_there(bucket_url, tmp_path):
  local = storage.mount(bucket_url, tmp_path)
  assert storage.find(local / "scratch" / "rows") is None
  assert storage.find(local / "cache") is None
  assert storage.find(tmp_path) is None
  mounted = storage.find(local / "runs" / "a")
  assert mounted is not None and mounted.url == f"{bucket_url}/runs/a"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("s3://bucket/path", "only those of Google"),
        ("gs:/bucket/path", "not of the form"),
        ("gs://", "not of the form"),
        ("gs://b/../x", "not of the form"),
        ("gs://bucket//x", "not of the form"),
    ],
)
def test_other_urls_are_refused(url, reason):
  with pytest.raises(errors.InputError, match=reason):
    storage.check_workdir(url, "--workdir")


def test_a_missing_bucket_is_one_message(gcs):
  with pytest.raises(errors.InputError, match="there is no such bucket"):
    storage.open_workdir("gs://zsgen-missing/path")
