"""What transformers reads beside an exported model has the same ids."""

import json

import numpy as np
import pytest
import tokenized

from zsgen.core import config
from zsgen.data import tokenizers
from zsgen.data.tokenizers import sentencepiece

transformers = pytest.importorskip("transformers")

_PIECES = (
    "The cat sat on 12 mats, naïve Öl\u00a0?! \n\t ﬁ e\u0301 日本 🙂".split(" ")
)


def _texts():
  """A few hundred texts; none spells a special token."""
  drawn = np.random.default_rng(0)
  plain = [text for text in tokenized.SAID if not set("<[") & set(text)]
  made = [
      " ".join(drawn.choice(_PIECES, size=drawn.integers(1, 12)))
      for _ in range(300)
  ]
  return [*tokenized.TEXTS[:3], *plain, *made]


def _same(ours, directory):
  """AutoTokenizer gives the ids, special ones too; returns it."""
  ours.export(directory)
  theirs = transformers.AutoTokenizer.from_pretrained(directory)
  texts = _texts()
  for text, ids in zip(texts, ours.encode_batch(texts), strict=True):
    found = theirs(text, add_special_tokens=False)["input_ids"]
    assert found == ids.tolist(), text
  assert theirs.eos_token_id == ours.eos_id
  for string, i in ours.special_ids.items():
    assert theirs.convert_tokens_to_ids(string) == i
  return theirs


@pytest.fixture
def directory(tmp_path):
  (tmp_path / "export").mkdir()
  return tmp_path / "export"


def test_bytes(directory):
  theirs = _same(tokenizers.get(config.build(config.Data)), directory)
  assert theirs.pad_token_id == 0


@pytest.mark.parametrize("kind", tokenized.HF)
def test_hf(kind, tmp_path, directory):
  path = tokenized.HF[kind](tmp_path / kind, **_ends(kind))
  data = config.build(config.Data, tokenizer="hf", tokenizer_path=path)
  ours = tokenizers.get(data)
  theirs = _same(ours, directory)
  if ours.bos_id is not None:
    assert theirs("a")["input_ids"][0] == ours.bos_id


@pytest.mark.parametrize("given", ["LlamaTokenizer", "GPT2Tokenizer"])
def test_what_the_source_says_stays(given, tmp_path, directory):
  """But for the class: those of transformers 5 make other ids of one file."""
  plain = dict.fromkeys(
      ("lstrip", "rstrip", "normalized", "single_word"), False
  )
  names = {"0": "<unk>", "1": "<s>", "2": "</s>"}
  said = {
      "legacy": False,
      "add_bos_token": True,
      "model_max_length": 4096,
      "padding_side": "left",
      "sp_model_kwargs": {},
      "additional_special_tokens": ["<unk>"],
      "added_tokens_decoder": {
          i: {"content": name, "special": True, **plain}
          for i, name in names.items()
      },
      "chat_template": [{"name": "default", "template": "a"}],
  }
  path = tokenized.llama(tmp_path / "source", tokenizer_class=given, **said)
  data = config.build(config.Data, tokenizer="hf", tokenizer_path=path)
  theirs = _same(tokenizers.get(data), directory)
  assert theirs("a")["input_ids"][0] == 1
  found = json.loads((directory / "tokenizer_config.json").read_text())
  assert {name: found[name] for name in said} == said
  assert found["tokenizer_class"] == "PreTrainedTokenizerFast"


def _ends(kind):
  return {"eos_token": "[SEP]"} if kind == "bert" else {}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1},
        {"byte_fallback": True, "vocab_size": 400, "pad_id": 3},
        {"model_type": "bpe", "vocab_size": 150},
        {
            "model_type": "bpe",
            "vocab_size": 450,
            "byte_fallback": True,
            "normalization_rule_name": "identity",
            "remove_extra_whitespaces": False,
        },
        {"add_dummy_prefix": False},
    ],
)
def test_sentencepiece(options, tmp_path, directory):
  pytest.importorskip("sentencepiece")
  path = tokenized.sentencepiece(tmp_path / "a.model", **options)
  ours = sentencepiece.read(path)
  theirs = _same(ours, directory)
  (ids,) = ours.encode_batch(["The cat sat"])
  bos = [] if ours.bos_id is None else [ours.bos_id]
  assert theirs("The cat sat")["input_ids"] == [*bos, *ids]
  written = "The</s>cat sat</s>"
  (ids,) = ours.encode_special([written])
  found = theirs(written, add_special_tokens=False)["input_ids"]
  assert found == ids.tolist()
  said = theirs.decode(ids, skip_special_tokens=True)
  assert said.replace(" ", "") == ours.decode(ids).replace(" ", "")


@pytest.mark.parametrize(
    "options", [{"user_defined_symbols": ["<x>"]}, {"model_type": "char"}]
)
def test_sentencepiece_without_a_counterpart(options, tmp_path, directory):
  pytest.importorskip("sentencepiece")
  path = tokenized.sentencepiece(tmp_path / "a.model", **options)
  sentencepiece.read(path).export(directory)
  assert sorted(each.name for each in directory.iterdir()) == [
      "tokenizer.model",
      "tokenizer_config.json",
  ]
