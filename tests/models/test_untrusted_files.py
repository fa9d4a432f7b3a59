"""Files of a model that mean harm, or are damaged: one message."""

import json
import os
import shutil
import struct

import imported
import pytest

from zsgen.core import errors
from zsgen.models import hugging_face
from zsgen.models.hugging_face import files

INDEX, WEIGHTS = files.INDEX, files.WEIGHTS


@pytest.fixture
def model(tmp_path):
  path = tmp_path / "model"
  shutil.copytree(imported.FAMILIES / "qwen2", path)
  return path


def _assert_refused(message, call, *args):
  with pytest.raises(errors.InputError, match=message) as caught:
    call(*args)
  assert len(str(caught.value)) < 1500


def _point(model, name):
  """Makes the index name another file for every weight."""
  names = list(files.Tensors(model).shapes)
  (model / INDEX).write_text(
      json.dumps({"weight_map": dict.fromkeys(names, name)})
  )


@pytest.mark.parametrize(
    "name",
    [
        "../model.safetensors",
        "/etc/passwd",
        "sub/../../model.safetensors",
        "..",
        "",
        "x" * 5000,
        "a\x00b",
        "outside.safetensors",
    ],
)
def test_an_index_stays_in_its_directory(model, name):
  outside = model.parent / "model.safetensors"
  shutil.copy(model / WEIGHTS, outside)
  (model / "outside.safetensors").symlink_to(outside)
  _point(model, name)
  _assert_refused("weight_map", files.Tensors, model)


def _cache(model, tmp_path):
  """The model as the hub's cache has it: symlinks into blobs."""
  home = tmp_path / "models--a--b"
  snapshot = home / "snapshots" / "0f1e"
  snapshot.mkdir(parents=True)
  (home / "blobs").mkdir()
  for number, path in enumerate(sorted(model.iterdir())):
    shutil.copy(path, home / "blobs" / f"{number:040x}")
    (snapshot / path.name).symlink_to(f"../../blobs/{number:040x}")
  return snapshot


def test_the_hubs_cache_is_read(model, tmp_path):
  _point(model, WEIGHTS)
  snapshot = _cache(model, tmp_path)
  linked = tmp_path / "linked"
  linked.symlink_to(snapshot)
  shapes = files.Tensors(model).shapes
  assert files.Tensors(snapshot).shapes == shapes
  assert files.Tensors(linked).shapes == shapes
  assert hugging_face.digest(snapshot) == hugging_face.digest(model)


def test_the_hubs_cache_does_not_lead_out(model, tmp_path):
  outside = tmp_path / "outside.safetensors"
  shutil.copy(model / WEIGHTS, outside)
  _point(model, "a.safetensors")
  snapshot = _cache(model, tmp_path)
  (snapshot / "a.safetensors").symlink_to(outside)
  _assert_refused(
      "weight_map.*must name a file inside", files.Tensors, snapshot
  )


@pytest.mark.parametrize("name", ["config.json", INDEX])
def test_json_that_is_nested_too_deep(model, name):
  (model / name).write_text('{"a": ' * 100_000)
  call = files.Tensors if name == INDEX else hugging_face.arch_of
  _assert_refused(f"{name}.*is not JSON", call, model)


@pytest.mark.parametrize(
    "header",
    [
        struct.pack("<Q", 2**63),
        struct.pack("<Q", 2**31) + b"{",
        struct.pack("<Q", 200_000) + b'{"a":' + b"[" * 199_995,
        struct.pack("<Q", 70)
        + b'{"a":{"dtype":"F32","shape":[99999999999],"data_offsets":[0,4]}}'.ljust(
            70
        ),
        b"",
    ],
)
def test_invalid_headers(model, header):
  (model / WEIGHTS).write_bytes(header)
  _assert_refused("is not a safetensors file", files.Tensors, model)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_hidden_layers", 10**12),
        ("hidden_size", 10**30),
        ("num_attention_heads", 0),
        ("num_attention_heads", "eight"),
        ("vocab_size", -(10**30)),
        ("rms_norm_eps", "small"),
        ("rope_parameters", []),
        ("num_hidden_layers", -1),
    ],
)
def test_impossible_sizes(model, field, value):
  path = model / "config.json"
  config = json.loads(path.read_text())
  path.write_text(json.dumps({**config, field: value}))
  _assert_refused("config.json", hugging_face.arch_of, model)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file(model):
  (model / "config.json").chmod(0)
  _assert_refused("config.json", hugging_face.arch_of, model)
