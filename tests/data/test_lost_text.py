"""Text that a tokenizer loses is refused in answers, and counted elsewhere."""

import json

import pytest

from tests.helpers import tiny_tokenizers
from zsgen.core import config, errors
from zsgen.data import lost_text, prepare, prompts, tokenizers
from zsgen.data.tokenizers import hf, sentencepiece
from zsgen.reports import origins

lib = pytest.importorskip("tokenizers")

LETTERS = "abcdefghijklmnopqrstuvwxyzIO: 0123456789"


def _write(directory, model, special=("<s>", "</s>"), **steps):
  tokenizer = lib.Tokenizer(model)
  for name, step in steps.items():
    setattr(tokenizer, name, step)
  tokenizer.add_special_tokens(list(special))
  return tiny_tokenizers.write(directory, tokenizer, eos_token="</s>")


def _no_unknown(directory, **steps):
  """Writes a BPE of letters only, which drops all others."""
  vocab = {char: i for i, char in enumerate(LETTERS)}
  steps.setdefault("pre_tokenizer", lib.pre_tokenizers.Whitespace())
  return _write(directory, lib.models.BPE(vocab=vocab, merges=[]), **steps)


def _words(directory):
  """Writes a table of words with an unknown one."""
  vocab = {"[UNK]": 0, "moon": 1, "sun": 2, "Input": 3, "Output": 4, ":": 5}
  model = lib.models.WordLevel(vocab=vocab, unk_token="[UNK]")
  steps = {"pre_tokenizer": lib.pre_tokenizers.Whitespace()}
  return _write(directory, model, **steps)


def _data(tmp_path, path, rows, **options):
  (tmp_path / "data").mkdir(exist_ok=True)
  lines = [
      {
          "task": f"t{i % 2}",
          "input": request,
          "target": answer,
          "id": f"row-{i}",
      }
      for i, (request, answer) in enumerate(rows)
  ]
  text = "\n".join(json.dumps(line) for line in lines)
  (tmp_path / "data" / "rows.jsonl").write_text(text, "utf-8")
  data = {
      "source": "table",
      "path": str(tmp_path / "data"),
      "fields": {"task": "task", "input": "input", "target": "target"},
      "tokenizer": "hf",
      "tokenizer_path": path,
      "heldout": {"heldout": {"share": 0.5}},
      **options,
  }
  return config.check({"data": data}).data


ROWS = [("a", "moon"), ("b", "sun"), ("c", "moon"), ("d", "sun")]


def test_an_answer_that_loses_text_is_refused(tmp_path):
  rows = [*ROWS, ("e", "moon 🙂"), ("f", "日本")]
  data = _data(tmp_path, _no_unknown(tmp_path / "tok"), rows)
  with pytest.raises(errors.InputError) as caught:
    prepare.prepare(tmp_path / "stores", data, 0)
  message = str(caught.value)
  for word in ("'🙂' (U+1F642)", "'日' (U+65E5)", "'本' (U+672C)", "task t"):
    assert word in message
  # Its advice works, and what is left out is counted and shown.
  assert "--config.data.on_bad_row=skip" in message
  data = _data(tmp_path, _no_unknown(tmp_path / "tok"), rows, on_bad_row="skip")
  store = prepare.prepare(tmp_path / "stores", data, 0)
  counts = store.manifest["counts"]
  assert sum(split.get("answer_lost", 0) for split in counts.values()) == 2
  assert sum(split["dropped"] for split in counts.values()) == 2
  assert len(store) == len(ROWS)
  assert store.manifest["unknown_characters"] == {"日": 1, "本": 1, "🙂": 1}
  grid = origins.counted(store)
  assert "answer lost" in grid.header
  assert "'日' (U+65E5) 1x" in grid.note


def test_a_request_that_loses_text_is_counted(tmp_path):
  rows = [*ROWS, ("e 日", "moon")]
  data = _data(tmp_path, _no_unknown(tmp_path / "tok"), rows)
  store = prepare.prepare(tmp_path / "stores", data, 0)
  counts = store.manifest["counts"].values()
  assert sum(split.get("lost_characters", 0) for split in counts) == 1
  assert "Lost: characters of requests" in origins.counted(store).note


def test_unknown_tokens_are_counted(tmp_path):
  rows = [*ROWS, ("moon", "sun 日 moon")]
  data = _data(tmp_path, _words(tmp_path / "tok"), rows)
  store = prepare.prepare(tmp_path / "stores", data, 0)
  counts = store.manifest["counts"].values()
  assert sum(split.get("unknown_loss", 0) for split in counts) == 1
  # Of the requests "a" to "d", too.
  assert sum(split.get("unknown", 0) for split in counts) == 5
  assert store.manifest["unknown_characters"]["日"] == 1
  grid = origins.counted(store)
  assert {"unknown", "in answers"} <= set(grid.header)
  assert f"They are {1 / store.loss_lengths.sum():.2%}" in grid.note


def test_no_loss_is_shown_if_nothing_is_lost(tmp_path):
  path = tiny_tokenizers.gpt2(tmp_path / "tok")
  data = _data(tmp_path, path, [*ROWS, ("日", "moon 🙂")])
  store = prepare.prepare(tmp_path / "stores", data, 0)
  assert store.manifest["unknown_characters"] == {}
  assert "unknown" not in origins.counted(store).header
  names = {
      name for split in store.manifest["counts"].values() for name in split
  }
  assert not names & {"unknown", "lost_characters", "answer_lost"}


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_tokenizers_of_bytes_lose_nothing(tmp_path, kind):
  assert hf.read(tiny_tokenizers.HF[kind](tmp_path)).lost is None
  assert tokenizers.Bytes().lost is None


def _lost(tokenizer, text):
  segments = [[prompts.Segment(text, loss=True)]]
  encoded = prompts.encode(segments, tokenizer)
  return lost_text.find(segments, encoded, tokenizer)


def test_missing_bytes_are_detected(tmp_path):
  """Checks a BPE without the full alphabet: it drops parts of characters."""
  vocab = {char: i for i, char in enumerate(LETTERS.replace(" ", "Ġ"))}
  vocab["Ã"] = len(vocab)  # The first byte of é, not its second.
  path = _write(
      tmp_path,
      lib.models.BPE(vocab=vocab, merges=[]),
      pre_tokenizer=lib.pre_tokenizers.ByteLevel(add_prefix_space=False),
      decoder=lib.decoders.ByteLevel(),
  )
  assert _lost(hf.read(path), "a caf\u00e9").answers == ["é"]
  assert _lost(hf.read(path), "a cafe").answers == [""]


def test_composed_characters_are_not_lost(tmp_path):
  vocab = {char: i for i, char in enumerate(LETTERS + "é")}
  model = lib.models.BPE(vocab=vocab, merges=[])
  path = _write(tmp_path, model, normalizer=lib.normalizers.NFC())
  assert _lost(hf.read(path), "cafe\u0301").answers == [""]
  assert _lost(hf.read(path), "caf\u00e9").answers == [""]
  assert _lost(hf.read(path), "cafe\u0302").answers == ["e\u0302"]


def test_text_that_a_normalizer_or_a_splitter_deletes(tmp_path):
  deletes = lib.normalizers.Replace("x", "")
  path = _no_unknown(tmp_path / "a", normalizer=deletes)
  assert _lost(hf.read(path), "axb").answers == ["x"]
  splitter = lib.pre_tokenizers.CharDelimiterSplit("y")
  path = _no_unknown(tmp_path / "b", pre_tokenizer=splitter)
  assert _lost(hf.read(path), "ayb").answers == ["y"]


def test_answers_that_are_changed(tmp_path):
  path = _no_unknown(tmp_path / "a", normalizer=lib.normalizers.Lowercase())
  lost = _lost(hf.read(path), "Moon")
  assert lost.changed.tolist() == [True]
  assert lost.answers == [""]
  assert not _lost(hf.read(path), "moon").changed.any()


def test_special_tokens_of_a_template_are_not_lost(tmp_path):
  tokenizer = hf.read(_no_unknown(tmp_path / "a"))
  segments = [[prompts.Segment("moon</s>", loss=True, special=True)]]
  encoded = prompts.encode(segments, tokenizer)
  assert encoded[0].tokens[-1] == tokenizer.eos_id
  assert lost_text.find(segments, encoded, tokenizer).answers == [""]
  # As text, "<", "/" and ">" are lost.
  assert _lost(tokenizer, "moon</s>").answers == ["</>"]


@pytest.mark.parametrize("kind", ["bert", "unigram"])
def test_unknown_text_of_word_and_unigram_tokenizers(tmp_path, kind):
  special_tokens = {"eos_token": "[SEP]"} if kind == "bert" else {}
  tokenizer = hf.read(tiny_tokenizers.HF[kind](tmp_path, **special_tokens))
  lost = _lost(tokenizer, "the cat 日本")
  assert lost.answers == [""]
  assert lost.characters == {"日": 1, "本": 1}


def test_sentencepiece(tmp_path):
  pytest.importorskip("sentencepiece")
  tokenizer = sentencepiece.read(
      tiny_tokenizers.sentencepiece(tmp_path / "a.model")
  )
  lost = _lost(tokenizer, "the cat 日本 ate")
  assert lost.characters == {"日": 1, "本": 1}
  assert not lost.changed.any()
  assert _lost(tokenizer, "\uff37e").changed.any()  # A wide W, by NFKC.
  identity = dict(normalization_rule_name="identity")
  path = tiny_tokenizers.sentencepiece(
      tmp_path / "b.model", byte_fallback=True, vocab_size=340, **identity
  )
  assert sentencepiece.read(path).lost is None
