"""Tokenizers as seqio vocabularies. Imports seqio, and with it TensorFlow."""

from collections.abc import Sequence

import numpy as np
import seqio
import tensorflow as tf

from zsgen import errors
from zsgen.data import store as store_lib
from zsgen.data import tokenizers


def adapt(tokenizer: tokenizers.Tokenizer) -> seqio.Vocabulary:
  """A tokenizer as a seqio vocabulary with the same ids.

  Raises:
    InputError: its padding is not id 0, as seqio's is: seqio would take a
      word of the vocabulary for padding and leave it out of the loss.
  """
  if tokenizer.pad_id != seqio.vocabularies.PAD_ID:
    raise errors.InputError(
        f"the tokenizer pads with id {tokenizer.pad_id}, but seqio takes id"
        f" {seqio.vocabularies.PAD_ID} for padding. Use"
        " config.data.feed='store'."
    )
  return _Adapted(tokenizer)


def of_store(store: store_lib.Store) -> seqio.Vocabulary:
  """The vocabulary of the tokenizer that a store was made with.

  Raises:
    InputError: no tokenizer of this version has the store's fingerprint.
  """
  wanted = store.manifest["made_by"]["tokenizer"]
  for name in tokenizers.TOKENIZERS:
    tokenizer = tokenizers.get(name)
    if tokenizer.fingerprint == wanted:
      return adapt(tokenizer)
  raise errors.InputError(
      f"{store.path}: was made with a tokenizer that this version of zsgen"
      f" does not have ({wanted[:12]}…). Prepare the store again."
  )


class _Adapted(seqio.Vocabulary):
  """See `adapt`. Equal if the tokenizers' fingerprints are."""

  def __init__(self, tokenizer: tokenizers.Tokenizer):
    super().__init__()
    self._tokenizer = tokenizer

  @property
  def bos_id(self) -> int | None:
    return self._tokenizer.bos_id

  @property
  def eos_id(self) -> int:
    return self._tokenizer.eos_id

  @property
  def unk_id(self) -> None:
    # Every text has ids, and ids without a text are left out by `decode`.
    return None

  @property
  def _base_vocab_size(self) -> int:
    return self._tokenizer.vocab_size

  def _encode(self, s: str) -> list[int]:
    return self._tokenizer.encode_batch([s])[0].tolist()

  def _decode(self, ids: Sequence[int]) -> str:
    return self._tokenizer.decode(ids)

  def _encode_tf(self, s: tf.Tensor) -> tf.Tensor:
    ids = tf.py_function(self._encode_tensor, [s], tf.int32)
    ids.set_shape([None])
    return ids

  def _encode_tensor(self, text: tf.Tensor) -> np.ndarray:
    """Ids of a text, int32 [T]."""
    ids = self._tokenizer.encode_batch([text.numpy().decode("utf-8")])[0]
    return ids.astype(np.int32)

  def _decode_tf(self, ids: tf.Tensor) -> tf.Tensor:
    texts = tf.py_function(self._decode_tensor, [ids], tf.string)
    texts.set_shape(ids.shape[:-1])
    return texts

  def _decode_tensor(self, ids: tf.Tensor) -> np.ndarray:
    """Texts [...] of ids [..., T]."""
    rows = ids.numpy()
    texts = np.empty(rows.shape[:-1], object)
    for place in np.ndindex(texts.shape):
      texts[place] = self._tokenizer.decode(rows[place].tolist())
    return texts

  def __eq__(self, other: object) -> bool:
    if not isinstance(other, _Adapted):
      return False
    return self._tokenizer.fingerprint == other._tokenizer.fingerprint

  def __hash__(self) -> int:
    return int(self._tokenizer.fingerprint[:15], 16)
