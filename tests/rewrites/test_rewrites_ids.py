"""The 32 ids of string rewrites."""

import pytest

from zsgen.core import config, errors
from zsgen.data import tokenizers

_TEXT = "aa -> bac\n\ncaaz\n"
_IDS = [6, 6, 3, 7, 6, 8, 4, 8, 6, 6, 31, 5]


@pytest.fixture
def tokenizer():
  return tokenizers.get(config.build(config.Data, tokenizer="rewrites"))


def test_ids(tokenizer):
  actual = [ids.tolist() for ids in tokenizer.encode_batch([_TEXT, "cbz", ""])]
  assert actual == [_IDS, [8, 7, 31], []]
  assert (
      tokenizer.vocab_size,
      tokenizer.pad_id,
      tokenizer.eos_id,
      tokenizer.bos_id,
  ) == (
      32,
      0,
      1,
      2,
  )


def test_ids_read_as_text(tokenizer):
  assert tokenizer.decode([2, *_IDS, 1, 0, 0]) == _TEXT
  assert tokenizer.decode([32, 6]) == "a"


@pytest.mark.parametrize(
    ("text", "character"),
    [("aB", "'B'"), ("a->b", "'-'"), ("a\x03", r"'\\x03'")],
)
def test_other_text_is_an_error(tokenizer, text, character):
  with pytest.raises(errors.InputError, match=f"not {character} in"):
    tokenizer.encode_batch(["abc", text])


def test_the_tokenizer_is_saved_and_loaded(tokenizer, tmp_path):
  tokenizer.save(tmp_path / "tokenizer")
  restored = tokenizers.load(tmp_path / "tokenizer")
  assert restored.fingerprint == tokenizer.fingerprint
  assert restored.encode_special([_TEXT])[0].tolist() == _IDS


def test_the_tokenizer_has_no_path():
  with pytest.raises(errors.InputError, match="path is not an option"):
    config.build(config.Data, tokenizer="rewrites", tokenizer_path="x")


def test_transformers_reads_the_exported_tokenizer(tokenizer, tmp_path):
  transformers = pytest.importorskip("transformers")
  tokenizer.export(tmp_path)
  exported = transformers.AutoTokenizer.from_pretrained(tmp_path)
  assert exported(_TEXT, add_special_tokens=False)["input_ids"] == _IDS
  assert exported(_TEXT)["input_ids"] == [2, *_IDS]
  assert exported.decode([2, *_IDS, 1], skip_special_tokens=True) == _TEXT
  assert (
      exported.pad_token_id,
      exported.eos_token_id,
      exported.bos_token_id,
  ) == (
      0,
      1,
      2,
  )
