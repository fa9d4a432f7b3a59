"""A tokenizer.json of others that cannot be used is one message."""

import json
import os
import random
import sys

import pytest

from tests.helpers import tiny_tokenizers
from zsgen.core import config, errors
from zsgen.data import lost_text, prompts, suite, tokenizers
from zsgen.data.prompts import templates
from zsgen.data.tokenizers import guard, hf

pytest.importorskip("tokenizers")


def _edited(directory, edit):
  """Returns a GPT-2 whose tokenizer.json was edited."""
  path = tiny_tokenizers.gpt2(directory)
  file = directory / "tokenizer.json"
  spec = json.loads(file.read_text())
  edit(spec)
  file.write_text(json.dumps(spec))
  return hf.read(path)


def _split(pattern):
  splitter = {
      "type": "Split",
      "pattern": {"Regex": pattern},
      "behavior": "Isolated",
      "invert": False,
  }
  return lambda spec: spec.update(pre_tokenizer=splitter)


def _table(text):
  steps = {"type": "Precompiled", "precompiled_charsmap": text}
  return lambda spec: spec.update(normalizer=steps)


@pytest.mark.parametrize("table", ["AAAA", "BAAAAP////8="])
def test_a_panic_of_reading_is_one_message(tmp_path, table, capfd):
  with pytest.raises(errors.InputError, match=r"tokenizer\.json: cannot be"):
    _edited(tmp_path, _table(table))
  assert "panicked" not in capfd.readouterr().err


def test_only_reports_of_panics_are_suppressed(capfd):
  with guard.no_panic_report(), guard.no_panic_report():
    print("seen", file=sys.stderr, flush=True)
  with pytest.raises(ValueError), guard.no_panic_report():
    os.write(2, b"seen, too")
    raise ValueError
  assert capfd.readouterr().err == "seen\nseen, too"


def test_a_panic_of_encoding_is_one_message(tmp_path):
  tokenizer = _edited(tmp_path, _split(r"(a+)+$"))
  for encode in (tokenizer.encode_batch, tokenizer.encode_special):
    with pytest.raises(errors.InputError, match="retry-limit") as caught:
      encode(["fine", "a" * 40 + "b"])
    assert str(tmp_path / "tokenizer.json") in str(caught.value)


def test_an_error_of_encoding_is_one_message(tmp_path):
  def edit(spec):
    spec["model"].update(vocab={"a": 0, "<|endoftext|>": 1}, merges=[])
    spec["model"]["unk_token"] = "[UNK]"  # Which there is not.
    spec["added_tokens"] = []

  tokenizer = _edited(tmp_path, edit)
  with pytest.raises(errors.InputError, match="cannot encode a text"):
    tokenizer.encode_batch(["b"])


def test_interruptions_are_not_caught(tmp_path):
  with pytest.raises(KeyboardInterrupt), guard.one_error(tmp_path, "fails"):
    raise KeyboardInterrupt


@pytest.mark.parametrize("deep", ["[" * 100_000, '{"a":' * 100_000])
def test_files_that_are_nested_too_deeply(tmp_path, deep):
  path = tiny_tokenizers.gpt2(tmp_path)
  (tmp_path / "tokenizer.json").write_text(deep)
  with pytest.raises(errors.InputError, match=r"nested too deeply|not JSON"):
    hf.read(path)


@pytest.mark.parametrize(
    "pattern", [r"(a+)+$", r"(x|xx)+y", r"([0-9]+)*z", r"(\s*\w*)*!"]
)
def test_patterns_that_backtrack_are_refused_before_any_text(tmp_path, pattern):
  tokenizer = _edited(tmp_path, _split(pattern))
  with pytest.raises(errors.InputError, match="backtracks") as caught:
    tokenizers.check_patterns(tokenizer)
  assert repr(pattern) in str(caught.value)


def test_patterns_that_take_too_long(tmp_path, monkeypatch):
  """Checks a pattern below the library's limit at each position, many times."""
  monkeypatch.setattr(guard, "_SECONDS", 1.0)
  tokenizer = _edited(tmp_path, _split(r"\s+\s+$"))
  with pytest.raises(errors.InputError, match="does not encode"):
    tokenizers.check_patterns(tokenizer)


@pytest.fixture
def trials(monkeypatch):
  """Records the results of all trials of tokenizers, in their sequence."""
  results = []
  failure = guard._failure

  def record(spec):
    results.append(failure(spec))
    return results[-1]

  monkeypatch.setattr(guard, "_failure", record)
  return results


def test_harmless_patterns_pass(tmp_path, trials):
  tokenizers.check_patterns(_edited(tmp_path / "a", _split(r"\p{L}+|\d{2}")))
  assert trials == [""]
  tokenizers.check_patterns(hf.read(tiny_tokenizers.unigram(tmp_path / "b")))
  tokenizers.check_patterns(tokenizers.Bytes())
  assert set(trials) == {""}


def test_known_patterns_are_not_tried(tmp_path, trials):
  for i, pattern in enumerate(guard._KNOWN):
    tokenizers.check_patterns(_edited(tmp_path / str(i), _split(pattern)))
  data = config.build(
      config.Data,
      tokenizer="hf",
      tokenizer_path=tiny_tokenizers.gpt2(tmp_path / "gpt2"),
  )
  tokenizers.check_patterns(tokenizers.get(data))
  assert not trials


_VALUES = (
    None,
    -1,
    10**30,
    "",
    "\ud800",
    [],
    {},
    [None],
    True,
    {"type": "NFC"},
    {"type": "Sequence"},
    {"a": 1},
)


def _positions(node, position=()):
  """Yields positions in a file; of long lists the first ones."""
  if position:
    yield position
  children = ()
  if isinstance(node, dict):
    children = list(node.items())[:30]
  elif isinstance(node, list):
    children = list(enumerate(node))[:8]
  for key, child in children:
    yield from _positions(child, (*position, key))


def _damaged(files, draw):
  """Files with one value less, or another one."""
  name = draw.choice(sorted(files))
  *path, last = draw.choice(list(_positions(files[name])))
  node = files[name]
  for key in path:
    node = node[key]
  if draw.random() < 0.25:
    del node[last]
  else:
    node[last] = draw.choice(_VALUES)


@pytest.mark.parametrize("kind", tiny_tokenizers.HF)
def test_damaged_files_are_one_message_or_work(tmp_path, kind):
  draw = random.Random(kind)
  special_tokens = {"eos_token": "[SEP]"} if kind == "bert" else {}
  template = "{% for m in messages %}{{ m.content + eos_token }}{% endfor %}"
  tiny_tokenizers.HF[kind](tmp_path, **special_tokens, chat_template=template)
  names = ("tokenizer.json", "tokenizer_config.json")
  texts = {name: (tmp_path / name).read_text() for name in names}
  refused = 0
  for _ in range(40):
    files = {name: json.loads(text) for name, text in texts.items()}
    _damaged(files, draw)
    for name, content in files.items():
      (tmp_path / name).write_text(json.dumps(content))
    try:
      _use(hf.read(str(tmp_path)))
    except errors.InputError:
      refused += 1
  assert 0 < refused < 40


def _use(tokenizer):
  """Uses a tokenizer in all ways that prepare does."""
  turns = (suite.Turn("user", "the cat 日 </s>"), suite.Turn("assistant", "🙂"))
  names = ("plain", "chat", *["tokenizer"] * bool(tokenizer.chat_template))
  segments = [templates.build(name, tokenizer)(turns) for name in names]
  rows = prompts.encode(segments, tokenizer)
  lost_text.find(segments, rows, tokenizer)
  tokenizer.decode(rows[0].tokens)
