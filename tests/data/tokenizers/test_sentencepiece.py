"""SentencePiece models: ids, control pieces, files."""

import sys

import numpy as np
import pytest

from zsgen.core import errors
from zsgen.data import tokenizers
from zsgen.data.tokenizers import sentencepiece

lib = pytest.importorskip("sentencepiece")

from tests.helpers import tiny_tokenizers  # noqa: E402


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
  return tiny_tokenizers.sentencepiece(
      tmp_path_factory.mktemp("sp") / "a.model"
  )


def test_ids_are_the_librarys(model):
  reference = lib.SentencePieceProcessor(model_file=model)
  tokenizer = sentencepiece.read(model)
  for text, ids in zip(
      tiny_tokenizers.SAID,
      tokenizer.encode_batch(tiny_tokenizers.SAID),
      strict=True,
  ):
    assert ids.dtype == np.uint32
    assert ids.tolist() == reference.encode(text)
    assert tokenizer.decode([*ids, 2, 1, 10**6, -1]) == reference.decode(
        ids.tolist()
    )
  assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id) == (1, 2, 2)
  assert tokenizer.vocab_size == len(reference)
  assert tokenizer.special_tokens == {
      "bos_token": "<s>",
      "eos_token": "</s>",
      "unk_token": "<unk>",
  }


def test_text_never_becomes_a_control_piece(model):
  tokenizer = sentencepiece.read(model)
  for ids in tokenizer.encode_batch(tiny_tokenizers.SAID):
    assert not {1, 2} & set(ids.tolist())
  the, cat = tokenizer.encode_batch(["The", "cat"])
  actual = tokenizer.encode_special(["<s>The</s>cat</s>", "The", ""])
  assert actual[0].tolist() == [1, *the, 2, *cat, 2]
  assert actual[1].tolist() == the.tolist()
  assert actual[2].tolist() == []


def test_t5s_kind(tmp_path):
  path = tiny_tokenizers.sentencepiece(
      tmp_path / "t5.model", pad_id=0, eos_id=1, unk_id=2, bos_id=-1
  )
  tokenizer = sentencepiece.read(path)
  assert (tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id) == (0, None, 1)


def test_save_and_load(model, tmp_path):
  tokenizer = sentencepiece.read(model)
  tokenizer.save(tmp_path / "tokenizer")
  second_result = tokenizers.load(tmp_path / "tokenizer")
  assert second_result.fingerprint == tokenizer.fingerprint
  other_model = tiny_tokenizers.sentencepiece(tmp_path / "b.model", pad_id=3)
  assert sentencepiece.read(other_model).fingerprint != tokenizer.fingerprint


def test_bad_models(model, tmp_path, monkeypatch):
  path = tiny_tokenizers.sentencepiece(tmp_path / "endless.model", eos_id=-1)
  with pytest.raises(errors.InputError, match="no end token"):
    sentencepiece.read(path)
  with pytest.raises(errors.InputError, match="is not a file"):
    sentencepiece.read(str(tmp_path))
  for content in (b"", b"junk"):
    (tmp_path / "junk.model").write_bytes(content)
    with pytest.raises(errors.InputError, match="not a SentencePiece model"):
      sentencepiece.read(str(tmp_path / "junk.model"))
  with pytest.raises(UnicodeEncodeError):
    sentencepiece.read(model).encode_batch(["a", "b\ud800"])
  monkeypatch.setitem(sys.modules, "sentencepiece", None)
  with pytest.raises(errors.InputError, match="pip install sentencepiece"):
    sentencepiece.read(model)
