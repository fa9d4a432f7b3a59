"""Tokenizers as seqio vocabularies."""

import pytest

from zsgen.data import tokenizers
from zsgen.data.tokenizers import hf

seqio = pytest.importorskip("seqio")
import tensorflow as tf  # noqa: E402

from tests.helpers import tiny_tokenizers  # noqa: E402
from zsgen.data import vocabularies  # noqa: E402


@pytest.mark.parametrize("text", ["", "Keep even ones.\n", "äöü € 🙂"])
def test_bytes_are_seqios_bytes(text):
  vocabulary = vocabularies.adapt(tokenizers.Bytes())
  seqios = seqio.ByteVocabulary()
  ids = vocabulary.encode(text)
  assert ids == list(seqios.encode(text))
  assert vocabulary.encode_tf(tf.constant(text)).numpy().tolist() == ids
  mapped = tf.data.Dataset.from_tensors(text).map(vocabulary.encode_tf)
  assert next(mapped.as_numpy_iterator()).tolist() == ids
  ended = [*ids, 1, 70, 0]
  assert vocabulary.decode(ended) == seqios.decode(ended) == text
  assert (
      vocabulary.decode_tf(tf.constant([ended, ended])).numpy().tolist()
      == [text.encode()] * 2
  )
  assert vocabulary.decode_tf(tf.constant(ended)).numpy() == text.encode()


def test_vocabulary_is_its_tokenizer():
  vocabulary = vocabularies.adapt(tokenizers.Bytes())
  seqios = seqio.ByteVocabulary()
  for field in ("vocab_size", "pad_id", "bos_id", "eos_id"):
    assert getattr(vocabulary, field) == getattr(seqios, field)
  assert vocabulary == vocabularies.adapt(tokenizers.Bytes()) != seqios


def test_ids_are_one_more_where_zero_is_a_token(tmp_path):
  """Checks GPT-2, whose "!" is id 0: seqio would take it for padding."""
  tokenizer = hf.read(tiny_tokenizers.gpt2(tmp_path))
  vocabulary = vocabularies.adapt(tokenizer)
  assert tokenizer.encode_batch(["!"])[0].tolist() == [0]
  assert (
      vocabulary.encode("!")
      == vocabulary.encode_tf("!").numpy().tolist()
      == [1]
  )
  assert vocabulary.shift == 1
  assert vocabulary.pad_id == 0
  assert vocabulary.vocab_size == tokenizer.vocab_size + 1
  assert (vocabulary.eos_id, vocabulary.bos_id) == (tokenizer.eos_id + 1, None)
  for text in tiny_tokenizers.SAID:
    ids = vocabulary.encode(text)
    assert 0 not in ids
    ended = [*ids, vocabulary.eos_id, 5, 0, 0]
    assert vocabulary.decode(ended) == text
    assert vocabulary.decode_tf(tf.constant([ended])).numpy() == [text.encode()]


@pytest.mark.parametrize(
    ("eos", "bos", "shift"), [(1, 2, 0), (0, 2, 1), (1, 0, 1)]
)
def test_zero_must_be_padding_alone(eos, bos, shift, monkeypatch):
  monkeypatch.setattr(tokenizers.Bytes, "eos_id", eos)
  monkeypatch.setattr(tokenizers.Bytes, "bos_id", bos)
  vocabulary = vocabularies.adapt(tokenizers.Bytes())
  assert vocabulary.shift == shift
  assert (vocabulary.eos_id, vocabulary.bos_id) == (eos + shift, bos + shift)
