"""What transformers reads beside an exported model has the same ids."""

import json

import numpy as np
import pytest

from tests.helpers import tiny_tokenizers
from zsgen.core import config
from zsgen.data import tokenizers
from zsgen.data.tokenizers import sentencepiece

transformers = pytest.importorskip("transformers")

_PIECES = (
    "The cat sat on 12 mats, naïve Öl\u00a0?! \n\t ﬁ e\u0301 日本 🙂".split(" ")
)


def _texts():
  """Returns a few hundred texts; none spells a special token."""
  rng = np.random.default_rng(0)
  plain = [text for text in tiny_tokenizers.SAID if not set("<[") & set(text)]
  random_texts = [
      " ".join(rng.choice(_PIECES, size=rng.integers(1, 12)))
      for _ in range(300)
  ]
  return [*tiny_tokenizers.TEXTS[:3], *plain, *random_texts]


def _load_exported(tokenizer, directory):
  """Exports, checks the ids of AutoTokenizer, and returns it."""
  tokenizer.export(directory)
  exported = transformers.AutoTokenizer.from_pretrained(directory)
  texts = _texts()
  for text, ids in zip(texts, tokenizer.encode_batch(texts), strict=True):
    actual = exported(text, add_special_tokens=False)["input_ids"]
    assert actual == ids.tolist(), text
  assert exported.eos_token_id == tokenizer.eos_id
  for string, i in tokenizer.special_ids.items():
    assert exported.convert_tokens_to_ids(string) == i
  return exported


@pytest.fixture
def directory(tmp_path):
  (tmp_path / "export").mkdir()
  return tmp_path / "export"


def test_bytes(directory):
  exported = _load_exported(
      tokenizers.get(config.build(config.Data)), directory
  )
  assert exported.pad_token_id == 0


@pytest.mark.parametrize("kind", tiny_tokenizers.HF)
def test_hf(kind, tmp_path, directory):
  path = tiny_tokenizers.HF[kind](tmp_path / kind, **_ends(kind))
  data = config.build(config.Data, tokenizer="hf", tokenizer_path=path)
  tokenizer = tokenizers.get(data)
  exported = _load_exported(tokenizer, directory)
  if tokenizer.bos_id is not None:
    assert exported("a")["input_ids"][0] == tokenizer.bos_id


@pytest.mark.parametrize("tokenizer_class", ["LlamaTokenizer", "GPT2Tokenizer"])
def test_settings_of_the_source_are_exported(
    tokenizer_class, tmp_path, directory
):
  """Checks all but the class: those of transformers 5 give other ids."""
  plain = dict.fromkeys(
      ("lstrip", "rstrip", "normalized", "single_word"), False
  )
  names = {"0": "<unk>", "1": "<s>", "2": "</s>"}
  settings = {
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
  path = tiny_tokenizers.llama(
      tmp_path / "source", tokenizer_class=tokenizer_class, **settings
  )
  data = config.build(config.Data, tokenizer="hf", tokenizer_path=path)
  exported = _load_exported(tokenizers.get(data), directory)
  assert exported("a")["input_ids"][0] == 1
  actual = json.loads((directory / "tokenizer_config.json").read_text())
  assert {name: actual[name] for name in settings} == settings
  assert actual["tokenizer_class"] == "PreTrainedTokenizerFast"


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
  path = tiny_tokenizers.sentencepiece(tmp_path / "a.model", **options)
  tokenizer = sentencepiece.read(path)
  exported = _load_exported(tokenizer, directory)
  (ids,) = tokenizer.encode_batch(["The cat sat"])
  bos = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
  assert exported("The cat sat")["input_ids"] == [*bos, *ids]
  written = "The</s>cat sat</s>"
  (ids,) = tokenizer.encode_special([written])
  actual = exported(written, add_special_tokens=False)["input_ids"]
  assert actual == ids.tolist()
  text = exported.decode(ids, skip_special_tokens=True)
  assert text.replace(" ", "") == tokenizer.decode(ids).replace(" ", "")


@pytest.mark.parametrize(
    "options", [{"user_defined_symbols": ["<x>"]}, {"model_type": "char"}]
)
def test_sentencepiece_without_a_counterpart(options, tmp_path, directory):
  pytest.importorskip("sentencepiece")
  path = tiny_tokenizers.sentencepiece(tmp_path / "a.model", **options)
  sentencepiece.read(path).export(directory)
  assert sorted(file.name for file in directory.iterdir()) == [
      "tokenizer.model",
      "tokenizer_config.json",
  ]
