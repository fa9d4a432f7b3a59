"""Tokenizers as seqio vocabularies."""

import pytest

from zsgen.data import tokenizers
from zsgen.data.tokenizers import hf

seqio = pytest.importorskip("seqio")
import tensorflow as tf  # noqa: E402
import tokenized  # noqa: E402

from zsgen.data import vocabularies  # noqa: E402


@pytest.mark.parametrize("text", ["", "Keep even ones.\n", "äöü € 🙂"])
def test_bytes_are_seqios_bytes(text):
  ours = vocabularies.adapt(tokenizers.Bytes())
  seqios = seqio.ByteVocabulary()
  ids = ours.encode(text)
  assert ids == list(seqios.encode(text))
  assert ours.encode_tf(tf.constant(text)).numpy().tolist() == ids
  mapped = tf.data.Dataset.from_tensors(text).map(ours.encode_tf)
  assert next(mapped.as_numpy_iterator()).tolist() == ids
  ended = [*ids, 1, 70, 0]
  assert ours.decode(ended) == seqios.decode(ended) == text
  assert (
      ours.decode_tf(tf.constant([ended, ended])).numpy().tolist()
      == [text.encode()] * 2
  )
  assert ours.decode_tf(tf.constant(ended)).numpy() == text.encode()


def test_vocabulary_is_its_tokenizer():
  ours = vocabularies.adapt(tokenizers.Bytes())
  seqios = seqio.ByteVocabulary()
  for field in ("vocab_size", "pad_id", "bos_id", "eos_id"):
    assert getattr(ours, field) == getattr(seqios, field)
  assert ours == vocabularies.adapt(tokenizers.Bytes()) != seqios


def test_ids_are_one_more_where_zero_is_a_token(tmp_path):
  """GPT-2's "!" is id 0: seqio would take it for padding."""
  tokenizer = hf.read(tokenized.gpt2(tmp_path))
  ours = vocabularies.adapt(tokenizer)
  assert tokenizer.encode_batch(["!"])[0].tolist() == [0]
  assert ours.encode("!") == ours.encode_tf("!").numpy().tolist() == [1]
  assert ours.shift == 1
  assert ours.pad_id == 0
  assert ours.vocab_size == tokenizer.vocab_size + 1
  assert (ours.eos_id, ours.bos_id) == (tokenizer.eos_id + 1, None)
  for text in tokenized.SAID:
    ids = ours.encode(text)
    assert 0 not in ids
    ended = [*ids, ours.eos_id, 5, 0, 0]
    assert ours.decode(ended) == text
    assert ours.decode_tf(tf.constant([ended])).numpy() == [text.encode()]


@pytest.mark.parametrize(
    ("eos", "bos", "shift"), [(1, 2, 0), (0, 2, 1), (1, 0, 1)]
)
def test_zero_must_be_padding_alone(eos, bos, shift, monkeypatch):
  monkeypatch.setattr(tokenizers.Bytes, "eos_id", eos)
  monkeypatch.setattr(tokenizers.Bytes, "bos_id", bos)
  ours = vocabularies.adapt(tokenizers.Bytes())
  assert ours.shift == shift
  assert (ours.eos_id, ours.bos_id) == (eos + shift, bos + shift)
