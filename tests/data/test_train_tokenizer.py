"""`python -m zsgen.data train_tokenizer`."""

import os
import pathlib
import subprocess
import sys

import pytest
import rich.console

from tests.helpers import components
from zsgen.core import config, errors
from zsgen.data import __main__ as tools
from zsgen.data import suite
from zsgen.data.tokenizers import bpe, hf

pytest.importorskip("tokenizers")

# What the suite of these tests says; the held-out word must not be learnt.
TEXTS = {"train": ["abcd abcd <eos>", "abcd abcd é"], "heldout": ["zyxw"]}


def _suite(data: config.Data, seed: int, scratch) -> suite.Suite:
  """Returns two training examples, many times, and one not to be read."""
  del data, seed

  def examples():
    for i in range(40):
      text = TEXTS["train"][i % 2]
      yield suite.Example("t", "", "train", "Do.", text, (text,), str(i))
    yield suite.Example("t", "", "train", "Do.", "no answer", (), "none")
    yield suite.Example("u", "", "heldout", "Do.", "zyxw", ("zyxw",), "0")
    raise AssertionError("a held-out example was passed by")

  return suite.Suite("here", ("heldout",), examples)


@pytest.fixture
def train(monkeypatch, tmp_path):
  """Trains on the suite above; returns the directory."""
  components.add(monkeypatch, "source", "here", _suite)

  def train(out: str, vocab_size: int = 270) -> pathlib.Path:
    path = tmp_path / out
    tools.train_tokenizer(
        config.build(config.Data, source="here", tokenizer="hf"),
        0,
        vocab_size,
        path,
        tmp_path,
        rich.console.Console(quiet=True),
    )
    return path

  return train


def test_a_tokenizer_learns_the_training_texts(train):
  tokenizer = hf.read(str(train("out")))
  assert (tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id) == (0, None, 1)
  assert tokenizer.vocab_size <= 270
  ids, heldout, odd = tokenizer.encode_batch([" abcd", "zyxw", "🙂 <eos>\x00"])
  assert len(ids) == 1
  assert len(heldout) == 4
  assert tokenizer.decode(odd) == "🙂 <eos>\x00"
  assert not {0, 1} & set(odd.tolist())


def test_the_same_texts_give_the_same_bytes(train):
  first, second = train("one"), train("other")
  for file in first.iterdir():
    assert file.read_bytes() == (second / file.name).read_bytes()


def test_training_texts_are_those_that_are_tokenized(monkeypatch, tmp_path):
  components.add(monkeypatch, "source", "here", _suite)
  texts = list(
      tools.training_texts(
          config.build(config.Data, source="here"), 0, tmp_path
      )
  )
  assert len(texts) == 40
  text = TEXTS["train"][0]
  assert texts[0] == [f"Do.\nInput: {text}\nOutput:", f" {text}"]


def test_bad_input(train, tmp_path, monkeypatch):
  with pytest.raises(errors.InputError, match="must be 258 or more"):
    train("out", 257)
  (tmp_path / "there").mkdir()
  with pytest.raises(errors.InputError, match="already exists"):
    train("there")
  monkeypatch.setitem(TEXTS, "train", ["a", "\ud800"])
  with pytest.raises(errors.InputError, match="example 1 of t"):
    train("out")

  def empty_source(data, seed, scratch):
    del data, seed, scratch
    return suite.Suite("here", ("heldout",), lambda: iter(()))

  components.add(monkeypatch, "source", "here", empty_source)
  with pytest.raises(errors.InputError, match="no training example"):
    train("out")
  monkeypatch.setitem(sys.modules, "tokenizers", None)
  with pytest.raises(errors.InputError, match="pip install tokenizers"):
    train("out")
  assert not (tmp_path / "out").exists()
  assert [path.name for path in tmp_path.iterdir()] == ["there"]


def _command(root: pathlib.Path, *arguments: str, **env: str):
  """Runs the command as a user does."""
  return subprocess.run(
      [sys.executable, "-m", "zsgen.data", *arguments],
      cwd=root,
      env={**os.environ, "PYTHONPATH": str(root), **env},
      capture_output=True,
      text=True,
      check=False,
  )


def test_the_command(root, tmp_path):
  """Threads change nothing: two starts write the same bytes."""
  arguments = (
      "train_tokenizer",
      "--config=configs/tmt.py",
      "--config.data.train_instances=20",
      "--vocab_size=400",
  )
  outs = [tmp_path / "one", tmp_path / "other"]
  for out, threads in zip(outs, ("1", "4"), strict=True):
    process = _command(
        root, *arguments, f"--out={out}", RAYON_NUM_THREADS=threads
    )
    assert process.returncode == 0, process.stderr
    assert f"{out}: 400 ids" in process.stderr
  names = {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"}
  assert {path.name for path in outs[0].iterdir()} == names
  for name in names:
    assert (outs[0] / name).read_bytes() == (outs[1] / name).read_bytes()
  assert hf.read(str(outs[0])).vocab_size == 400
  process = _command(root, *arguments, f"--out={outs[0]}")
  assert process.returncode == 2
  assert "already exists" in process.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a tool"),
        (["train_tokeniser"], "name a tool"),
        (["train_tokenizer"], "--config"),
        (["train_tokenizer", "--config=configs/tmt.py"], "--out=DIR"),
        (["train_tokenizer", "--vocab_sise=3"], "vocab_sise"),
    ],
)
def test_bad_commands(root, arguments, message):
  process = _command(root, *arguments)
  assert process.returncode == 2
  assert message in process.stderr
  assert "Traceback" not in process.stderr


def test_the_smallest_vocabulary():
  trained = bpe.train([["a"]], bpe.SMALLEST)
  assert trained.get_vocab_size() == bpe.SMALLEST
