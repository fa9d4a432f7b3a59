"""Tokenizers as seqio vocabularies. Imports seqio, and with it TensorFlow.

seqio takes id 0 for padding, whatever a vocabulary says, and leaves it out of
the loss. Where a tokenizer's id 0 is padding and nothing else (bytes, BERT,
T5), a vocabulary has the tokenizer's ids. Where it is a token of texts (GPT-2:
"!"), unknown text (Llama) or the end token (GPT-NeoX), every id is one more
than the tokenizer's, and 0 is nothing but padding: views add this `shift`, and
the seqio feed takes it off again, so that training sees the store's ids.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import seqio
import seqio.vocabularies
import tensorflow as tf

from zsgen.core import errors
from zsgen.data import store as store_lib
from zsgen.data import tokenizers

_PAD = seqio.vocabularies.PAD_ID


def adapt(tokenizer: tokenizers.Tokenizer) -> "Vocabulary":
  """Returns a seqio vocabulary with a tokenizer's ids, shifted by 0 or 1."""
  return Vocabulary(tokenizer)


def of_store(store: store_lib.Store) -> "Vocabulary":
  """Returns the vocabulary of the tokenizer that a store was made with.

  Raises:
    InputError: the store carries no such tokenizer, or a damaged one.
  """
  fingerprint = store.manifest["made_by"]["tokenizer"]
  saved = store.path / store_lib.TOKENIZER
  tokenizer = tokenizers.load(saved) if saved.exists() else tokenizers.Bytes()
  if tokenizer.fingerprint != fingerprint:
    raise errors.InputError(
        f"{store.path}: was made with a tokenizer that neither the store nor"
        f" this version of zsgen has ({fingerprint[:12]}…). Prepare the store"
        " again."
    )
  return adapt(tokenizer)


class Vocabulary(seqio.Vocabulary):
  """See `adapt`. Equal if the tokenizers' fingerprints are.

  Attributes:
    shift: the difference between its ids and the tokenizer's, 0 or 1.
  """

  def __init__(self, tokenizer: tokenizers.Tokenizer):
    super().__init__()
    self._tokenizer = tokenizer
    special_ids = (tokenizer.eos_id, tokenizer.bos_id)
    only_padding = tokenizer.pad_id == _PAD and _PAD not in special_ids
    self.shift = 0 if only_padding else 1

  @property
  def bos_id(self) -> int | None:
    """The token before every text; None if there is none."""
    bos = self._tokenizer.bos_id
    return None if bos is None else bos + self.shift

  @property
  def eos_id(self) -> int:
    """The token that ends an answer."""
    return self._tokenizer.eos_id + self.shift

  @property
  def unk_id(self) -> None:
    """None: no id stands for unknown text."""
    # seqio would put it for ids beyond the vocabulary; `decode` leaves these
    # out, and no view has one.
    return None

  @property
  def _base_vocab_size(self) -> int:
    return self._tokenizer.vocab_size + self.shift

  def _encode(self, s: str) -> list[int]:
    return (self._tokenizer.encode_batch([s])[0] + self.shift).tolist()

  def _decode(self, ids: Sequence[int]) -> str:
    shift = self.shift
    return self._tokenizer.decode([i - shift for i in ids if i != _PAD])

  def _encode_tf(self, s: tf.Tensor) -> tf.Tensor:
    ids = tf.py_function(self._encode_tensor, [s], tf.int32)
    ids.set_shape([None])
    return ids

  def _encode_tensor(self, text: Any) -> np.ndarray:
    """Returns the ids of a text, int32 [T]."""
    return np.array(self._encode(text.numpy().decode("utf-8")), np.int32)

  def _decode_tf(self, ids: tf.Tensor) -> tf.Tensor:
    texts = tf.py_function(self._decode_tensor, [ids], tf.string)
    texts.set_shape(ids.shape[:-1])
    return texts

  def _decode_tensor(self, ids: tf.Tensor) -> np.ndarray:
    """Returns the texts [...] of ids [..., T]."""
    rows = ids.numpy()
    texts = np.empty(rows.shape[:-1], object)
    for index in np.ndindex(texts.shape):
      texts[index] = self._decode(rows[index].tolist())
    return texts

  def __eq__(self, other: object) -> bool:
    if not isinstance(other, Vocabulary):
      return False
    return self._tokenizer.fingerprint == other._tokenizer.fingerprint

  def __hash__(self) -> int:
    return int(self._tokenizer.fingerprint[:15], 16)
