"""Tokenizers by name, and saved ones."""

import pytest

from zsgen.core import config, errors
from zsgen.data import tokenizers


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tokenizer": "byte"}, 'Did you mean "bytes"'),
        ({"tokenizer_path": "x"}, "'bytes' has no files"),
        ({"tokenizer": "hf"}, "needs config.data.tokenizer_path"),
        ({"tokenizer": "sentencepiece"}, "needs config.data.tokenizer_path"),
    ],
)
def test_bad_options(options, said):
  with pytest.raises(errors.InputError, match=said):
    tokenizers.get(config.Data(**options))


def test_bytes_are_saved_and_loaded(tmp_path):
  ours = tokenizers.get(config.Data())
  ours.save(tmp_path / "tokenizer")
  again = tokenizers.load(tmp_path / "tokenizer")
  assert isinstance(again, tokenizers.Bytes)
  assert again.fingerprint == ours.fingerprint
  assert ours.encode_special(["</s>"])[0].tolist() == [63, 50, 118, 65]


def test_fingerprint_of_bytes_stays():
  """Stores that are there keep their names."""
  assert tokenizers.Bytes.fingerprint.startswith("561f5140a8a6")


@pytest.mark.parametrize(
    "record",
    [
        "{",
        "[]",
        '{"kind": "bytes"}',
        '{"kind": "bytes", "fingerprint": "x"}',
        '{"kind": "words", "fingerprint": "x"}',
    ],
)
def test_damaged_records(tmp_path, record):
  with pytest.raises(errors.InputError, match="has no saved tokenizer"):
    tokenizers.load(tmp_path)
  (tmp_path / "zsgen.json").write_text(record)
  with pytest.raises(errors.InputError, match=r"damaged|is not the tokenizer"):
    tokenizers.load(tmp_path)
