"""What zsgen exported is checked where it is read again."""

import numpy as np
import pytest
import safetensors.numpy

from tests.helpers import tiny_tokenizers
from zsgen.core import artifacts, errors
from zsgen.data.tokenizers import hf_files
from zsgen.models import hugging_face


def _write(directory, prefix=""):
  directory.mkdir(exist_ok=True)
  (directory / f"{prefix}config.json").write_text("{}")
  tensors = {"a": np.arange(4, dtype=np.float32)}
  path = directory / f"{prefix}model.safetensors"
  safetensors.numpy.save_file(tensors, path)


def _model(directory):
  _write(directory)
  return hugging_face.digest


def _adapter(directory):
  _write(directory, "adapter_")
  return hugging_face.adapters_digest


def _tokenizer(directory):
  tiny_tokenizers.gpt2(directory)
  return lambda path: hf_files.read(str(path))


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (_model, "model.safetensors"),
        (_model, "config.json"),
        (_adapter, "adapter_model.safetensors"),
        (_adapter, "adapter_config.json"),
        (_tokenizer, "tokenizer.json"),
    ],
)
def test_a_damaged_export_is_not_read(make, name, tmp_path):
  directory = tmp_path / "export"
  read = make(directory)
  manifest = {"kind": "export", "made_by": {}}
  manifest["files"] = artifacts.describe_files(directory)
  artifacts.write_manifest(directory, manifest)
  read(directory)

  full = (directory / name).read_bytes()
  # Either is read all the same.
  changed = full + b" " if name.endswith(".json") else full[:-1] + b"\1"
  (directory / name).write_bytes(changed)
  message = rf"{name}: is not what zsgen wrote.*delete \S*manifest\.json"
  with pytest.raises(errors.InputError, match=message):
    read(directory)
  (directory / name).write_bytes(full)
  read(directory)

  # The manifest itself; without it nothing can be checked, as it says.
  written = (directory / artifacts.MANIFEST).read_bytes()
  changed_manifest = written.replace(b'"files"', b'"filer"')
  (directory / artifacts.MANIFEST).write_bytes(changed_manifest)
  with pytest.raises(errors.InputError, match=r"manifest\.json: was changed"):
    read(directory)
  (directory / artifacts.MANIFEST).unlink()
  (directory / name).write_bytes(changed)
  read(directory)


@pytest.mark.parametrize(
    "content", [b"", b"\xff{", b"[1]", b'{"kind": "other", "files": {"a": 1}}']
)
def test_manifests_of_other_programs_are_ignored(content, tmp_path):
  read = _model(tmp_path)
  before = read(tmp_path)
  (tmp_path / artifacts.MANIFEST).write_bytes(content)
  assert read(tmp_path) == before
