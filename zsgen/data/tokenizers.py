"""Tokenizers, free of TensorFlow; seqio's side is `data/vocabularies.py`."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from zsgen import artifacts, errors


class Tokenizer(Protocol):
  """What the project asks of a tokenizer."""

  vocab_size: int
  pad_id: int
  bos_id: int | None
  eos_id: int
  # Hash of everything that decides the ids.
  fingerprint: str

  def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
    """Ids of each text (uint32), without BOS or EOS."""

  def decode(self, ids: Sequence[int]) -> str:
    """Text of the ids; special ids and broken bytes are left out."""


class Bytes:
  """UTF-8 bytes, id = byte + 3: the ids of `seqio.ByteVocabulary`."""

  vocab_size = 259
  pad_id = 0
  bos_id = None
  eos_id = 1
  _first = 3
  fingerprint = artifacts.digest(["bytes", vocab_size, pad_id, eos_id, _first])

  def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
    """Ids of each text (uint32), without BOS or EOS."""
    return [
        np.frombuffer(text.encode("utf-8"), np.uint8).astype(np.uint32)
        + np.uint32(self._first)
        for text in texts
    ]

  def decode(self, ids: Sequence[int]) -> str:
    """Text of the ids; special ids and broken bytes are left out."""
    first = self._first
    raw = bytes(int(i) - first for i in ids if first <= i < self.vocab_size)
    return raw.decode("utf-8", errors="ignore")


TOKENIZERS = {"bytes": Bytes}


def get(name: str) -> Tokenizer:
  """The tokenizer that `config.data.tokenizer` names."""
  return errors.choose(TOKENIZERS, name, "config.data.tokenizer")()
