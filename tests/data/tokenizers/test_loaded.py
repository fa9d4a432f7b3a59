"""Tokenizers are loaded once in a process, and again when they change."""

import json
import pathlib
import shutil

import pytest

from tests.helpers import tiny_tokenizers
from zsgen.core import errors
from zsgen.data import tokenizers
from zsgen.data.tokenizers import hf, loaded, sentencepiece


@pytest.fixture
def loads(monkeypatch):
  """Records the directories whose tokenizers are built; empties the cache."""
  monkeypatch.setattr(loaded, "_tokenizers", type(loaded._tokenizers)())
  directories = []
  original = hf._read

  def read(directory):
    directories.append(directory.name)
    return original(directory)

  monkeypatch.setattr(hf, "_read", read)
  return directories


def test_a_directory_is_loaded_once(tmp_path, loads):
  path = tiny_tokenizers.gpt2(tmp_path / "a")
  assert hf.read(path) is hf.read(path)
  assert loads == ["a"]


def test_a_store_has_the_tokenizer_that_is_loaded(tmp_path, loads):
  tokenizer = hf.read(tiny_tokenizers.llama(tmp_path / "a"))
  tokenizer.save(tmp_path / "saved")
  for _ in range(2):
    assert tokenizers.load(tmp_path / "saved") is tokenizer
  assert loads == ["a"]


def test_a_store_of_another_process(tmp_path, loads):
  hf.read(tiny_tokenizers.llama(tmp_path / "a")).save(tmp_path / "saved")
  loaded._tokenizers.clear()
  for _ in range(2):
    tokenizers.load(tmp_path / "saved")
  assert loads == ["a", "saved"]


def test_a_copy_is_loaded_for_its_own_messages(tmp_path, loads):
  path = tiny_tokenizers.gpt2(tmp_path / "a")
  shutil.copytree(path, tmp_path / "b")
  hf.read(path)
  hf.read(str(tmp_path / "b"))
  assert loads == ["a", "b"]


def test_changed_files_are_loaded_again(tmp_path, loads):
  path = tiny_tokenizers.gpt2(tmp_path / "a")
  before = hf.read(path)
  for file in pathlib.Path(path).iterdir():
    file.write_text(file.read_text().replace("endoftext", "endoftexx"))
  assert hf.read(path).special_tokens != before.special_tokens
  assert loads == ["a", "a"]


def test_a_damaged_store_is_not_hidden(tmp_path, loads):
  """Checks that a loaded tokenizer of the same fingerprint does not hide it."""
  hf.read(tiny_tokenizers.llama(tmp_path / "a")).save(tmp_path / "saved")
  file = tmp_path / "saved" / "tokenizer.json"
  content = json.loads(file.read_text())
  content["normalizer"] = {"type": "Lowercase"}
  file.write_text(json.dumps(content))
  with pytest.raises(errors.InputError, match="is not the tokenizer"):
    tokenizers.load(tmp_path / "saved")
  assert loads == ["a", "saved"]


def test_errors_are_raised_again(tmp_path, loads):
  path = tiny_tokenizers.bert(tmp_path / "bert")
  for _ in range(2):
    with pytest.raises(errors.InputError, match="no end token"):
      hf.read(path)
  assert loads == ["bert", "bert"]


def test_the_oldest_tokenizer_is_dropped(tmp_path, loads, monkeypatch):
  monkeypatch.setattr(loaded, "_MOST", 2)
  paths = [tiny_tokenizers.gpt2(tmp_path / name) for name in "abc"]
  for number in (0, 1, 0, 2, 0, 1):
    hf.read(paths[number])
  assert loads == ["a", "b", "c", "b"]


def test_sentencepiece_models_of_equal_content(tmp_path):
  path = tiny_tokenizers.sentencepiece(tmp_path / "a.model")
  tokenizer = sentencepiece.read(path)
  tokenizer.save(tmp_path / "saved")
  assert tokenizers.load(tmp_path / "saved") is tokenizer


def test_ids_are_compared_without_files(tmp_path, loads):
  tokenizer = hf.read(tiny_tokenizers.llama(tmp_path / "a"))
  assert tokenizers.has_ids_of(tokenizer, tmp_path / "a")
  tiny_tokenizers.gpt2(tmp_path / "b")
  assert not tokenizers.has_ids_of(tokenizer, tmp_path / "b")
  assert loads == ["a"]
