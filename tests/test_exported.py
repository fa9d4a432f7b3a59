"""The stage export: what a base said stays, and nothing is half written."""

import fcntl
import json
import os
import shutil

import jax
import pytest

from tests.helpers import artifact_files, tiny_tokenizers
import zsgen
from zsgen.core import artifacts, errors, hub
from zsgen.core import config as config_lib
from zsgen.models import hugging_face
from zsgen.models import model as model_lib
from zsgen.verify import workdir

ARCH = config_lib.Model(
    init="new",
    vocab_size=400,
    layers=1,
    width=16,
    heads=2,
    kv_heads=2,
    head_width=8,
    mlp_width=16,
    max_positions=2048,
)
FIELDS = {
    "config.json": {
        "bos_token_id": 1,
        "eos_token_id": [2, 7],
        "pad_token_id": 2,
        "pretraining_tp": 1,
    },
    "generation_config.json": {
        "bos_token_id": 1,
        "eos_token_id": [2, 7],
        "pad_token_id": 2,
        "temperature": 0.6,
        "top_p": 0.9,
    },
    "tokenizer_config.json": {
        "model_max_length": 2048,
        "padding_side": "left",
        "clean_up_tokenization_spaces": False,
        "eos_token": {"content": "</s>", "lstrip": False, "special": True},
    },
    "special_tokens_map.json": {"bos_token": "<s>", "unk_token": "<unk>"},
}


def _json(path):
  return json.loads(path.read_text("utf-8"))


@pytest.fixture
def base(tmp_path):
  """Writes a Llama as others save it, with fields that nothing here reads."""
  path = tmp_path / "base"
  init = jax.jit(model_lib.Model.from_config(ARCH).init)
  hugging_face.save(path, init(jax.random.key(7)), ARCH)
  tiny_tokenizers.llama(path)
  for name, fields in FIELDS.items():
    before = _json(path / name) if (path / name).exists() else {}
    (path / name).write_text(json.dumps({**before, **fields}))
  (path / "chat_template.jinja").write_text("{{ messages[0].content }}\n")
  return path


@pytest.fixture
def job(small, base):
  small.data.tokenizer = "hf"
  small.data.tokenizer_path = str(base)
  small.data.max_length = 1024
  small.model = config_lib.to_dict(config_lib.Model(init=f"hf:{base}"))
  small.order.budget = 8
  small.train.batch_size = 4
  small.evals.heldout.every_steps = 2
  return small


def _export(job, tmp_path):
  result = zsgen.run(job, tmp_path / "work", ["train", "export"])
  return result.run / "export-float32"


@pytest.mark.slow
def test_an_export(job, base, tmp_path, capsys):
  path = _export(job, tmp_path)
  assert len(artifacts.read_provenance(path)) == 1
  for name in (*FIELDS, "chat_template.jinja"):
    before, after = (
        (directory / name).read_text() for directory in (base, path)
    )
    if name.endswith(".json"):
      before, after = json.loads(before), json.loads(after)
    if name == "tokenizer_config.json":
      before["pad_token"] = "</s>"  # config.json alone named it.
    assert after == before, name

  _check_again(job, path, tmp_path)
  _check_upon(job, base, path, tmp_path, capsys)


def _check_again(job, path, tmp_path):
  """The same command on what is there, damaged, or somebody else's."""
  # Again: what is there and whole stays.
  times = {file.name: file.stat().st_mtime_ns for file in path.iterdir()}
  assert _export(job, tmp_path) == path
  assert times == {
      file.name: file.stat().st_mtime_ns for file in path.iterdir()
  }

  # What was changed is made again, and what was killed before is gone.
  content = artifact_files.read_all(path)
  with open(path / "model.safetensors", "r+b") as file:
    file.seek(-1, os.SEEK_END)
    file.write(b"\x55")
  left = [path.with_name(f".{path.name}.{'0123456789ab'}")]
  left.append(left[0].with_name(f".{left[0].name}.{'ba9876543210'}"))
  busy = path.with_name(f".{path.name}.{'f' * 12}")
  foreign = path.with_name(f".{path.name}.mine")
  for directory in (*left, busy, foreign):
    directory.mkdir()
    (directory / "half").write_bytes(b"half")
  handle = os.open(busy, os.O_RDONLY)
  fcntl.flock(handle, fcntl.LOCK_EX)  # As an export that goes on does.
  damaged = r"model\.safetensors: is damaged.*--stage=export makes it again"
  with pytest.raises(errors.InputError, match=damaged):
    workdir.verify(path.parent)
  _export(job, tmp_path)  # As it says, though nothing need be deleted.
  os.close(handle)
  output = "\n".join(workdir.verify(path.parent))
  assert f"export {path}: 7 files verified" in output
  assert artifact_files.read_all(path) == content
  assert not any(directory.exists() for directory in left)
  assert busy.is_dir()
  assert foreign.is_dir()

  # Files of somebody else's are not thrown away.
  (path / "config.json").write_text("{}")
  (path / "README.md").write_text("mine")
  with pytest.raises(errors.InputError, match=r"did not write its README\.md"):
    _export(job, tmp_path)
  (path / "README.md").rename(tmp_path / "README.md")  # As it says.
  _export(job, tmp_path)
  assert artifact_files.read_all(path) == content


def _check_upon(job, base, path, tmp_path, capsys):
  """A run upon the run, with another tokenizer, and with the base gone."""
  # A run upon the run knows the base; with another tokenizer, not its ids.
  job.model = config_lib.to_dict(config_lib.Model(init=f"run:{path.parent}"))
  job.data.tokenizer_path = tiny_tokenizers.gpt2(tmp_path / "gpt2")
  capsys.readouterr()
  export = _export(job, tmp_path)
  assert "has another tokenizer: token ids" in " ".join(
      capsys.readouterr().err.split()
  )
  generation = _json(export / "generation_config.json")
  end = json.loads((export / "tokenizer.json").read_text())["added_tokens"][0]
  assert end["content"] == "<|endoftext|>"
  assert generation == {
      "bos_token_id": None,
      "eos_token_id": end["id"],
      "pad_token_id": None,
      "temperature": 0.6,
      "top_p": 0.9,
  }
  assert _json(export / "config.json")["pretraining_tp"] == 1

  # A base that is gone is told.
  shutil.rmtree(export)
  shutil.rmtree(base)
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(hub, "locate", _locate_without(str(base)))
    _export(job, tmp_path)
  assert "cannot be read, so config.json has only" in " ".join(
      capsys.readouterr().err.split()
  )
  assert "pretraining_tp" not in _json(export / "config.json")


def _locate_without(missing, locate=hub.locate):
  """Finds everything but one directory, as offline."""

  def locate_present(name, *args):
    if name == missing:
      raise errors.InputError(f"{name} is not a directory")
    return locate(name, *args)

  return locate_present


def test_a_directory_is_replaced_atomically(tmp_path):
  path = tmp_path / "out"
  for text in ("a", "b"):
    with artifacts.writing(path, replace=True) as partial:
      (partial / text).write_text(text)
  assert [child.name for child in path.iterdir()] == ["b"]
  with pytest.raises(ValueError, match="stopped"):
    with artifacts.writing(path, replace=True) as partial:
      (partial / "c").write_text("c")
      raise ValueError("stopped")
  assert [child.name for child in tmp_path.rglob("*")] == ["out", "b"]
