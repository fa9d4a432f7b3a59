"""Tokenizers by name, and saved ones."""

import pytest

from zsgen.core import config, errors
from zsgen.data import tokenizers


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tokenizer": "byte"}, 'Did you mean "bytes"'),
        ({"tokenizer_path": "x"}, "It is an option of tokenizer='hf'"),
        ({"tokenizer": "hf"}, "needs config.data.tokenizer_path"),
        ({"tokenizer": "sentencepiece"}, "needs config.data.tokenizer_path"),
    ],
)
def test_bad_options(options, message):
  with pytest.raises(errors.InputError, match=message):
    tokenizers.get(config.build(config.Data, **options))


def test_bytes_are_saved_and_loaded(tmp_path):
  tokenizer = tokenizers.get(config.build(config.Data))
  tokenizer.save(tmp_path / "tokenizer")
  restored = tokenizers.load(tmp_path / "tokenizer")
  assert isinstance(restored, tokenizers.Bytes)
  assert restored.fingerprint == tokenizer.fingerprint
  assert tokenizer.encode_special(["</s>"])[0].tolist() == [63, 50, 118, 65]


def test_fingerprint_of_bytes_is_unchanged():
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
