"""The 32 ids of string rewrites."""

import pytest

from zsgen.core import config, errors
from zsgen.data import tokenizers

_TEXT = "aa -> bac\n\ncaaz\n"
_IDS = [6, 6, 3, 7, 6, 8, 4, 8, 6, 6, 31, 5]


@pytest.fixture
def ours():
  return tokenizers.get(config.build(config.Data, tokenizer="rewrites"))


def test_ids(ours):
  found = [each.tolist() for each in ours.encode_batch([_TEXT, "cbz", ""])]
  assert found == [_IDS, [8, 7, 31], []]
  assert (ours.vocab_size, ours.pad_id, ours.eos_id, ours.bos_id) == (
      32,
      0,
      1,
      2,
  )


def test_ids_read_as_text(ours):
  assert ours.decode([2, *_IDS, 1, 0, 0]) == _TEXT
  assert ours.decode([32, 6]) == "a"


@pytest.mark.parametrize(
    ("text", "what"), [("aB", "'B'"), ("a->b", "'-'"), ("a\x03", r"'\\x03'")]
)
def test_other_text_is_an_error(ours, text, what):
  with pytest.raises(errors.InputError, match=f"not {what} in"):
    ours.encode_batch(["abc", text])


def test_it_is_saved_and_loaded(ours, tmp_path):
  ours.save(tmp_path / "tokenizer")
  again = tokenizers.load(tmp_path / "tokenizer")
  assert again.fingerprint == ours.fingerprint
  assert again.encode_special([_TEXT])[0].tolist() == _IDS


def test_it_has_no_path():
  with pytest.raises(errors.InputError, match="path is not an option"):
    config.build(config.Data, tokenizer="rewrites", tokenizer_path="x")


def test_transformers_reads_what_is_exported(ours, tmp_path):
  transformers = pytest.importorskip("transformers")
  ours.export(tmp_path)
  theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
  assert theirs(_TEXT, add_special_tokens=False)["input_ids"] == _IDS
  assert theirs(_TEXT)["input_ids"] == [2, *_IDS]
  assert theirs.decode([2, *_IDS, 1], skip_special_tokens=True) == _TEXT
  assert (theirs.pad_token_id, theirs.eos_token_id, theirs.bos_token_id) == (
      0,
      1,
      2,
  )
