"""A tokenizer of UTF-8 bytes, without files or unknown text."""

from collections.abc import Sequence
import pathlib

import numpy as np

from zsgen.core import artifacts, config, registry
from zsgen.data.tokenizers import saved


class Bytes:
  """UTF-8 bytes, id = byte + 3: the ids of `seqio.ByteVocabulary`."""

  vocab_size = 259
  pad_id = 0
  bos_id = None
  eos_id = 1
  chat_template = None
  continued = None
  lost = None
  _first = 3
  fingerprint = artifacts.digest(["bytes", vocab_size, pad_id, eos_id, _first])

  @property
  def special_tokens(self) -> dict[str, str]:
    """Empty: the special ids have no strings."""
    return {}

  @property
  def special_ids(self) -> dict[str, int]:
    """Empty, like `special_tokens`."""
    return {}

  def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
    """Returns the ids of each text (uint32), without BOS or EOS."""
    return [
        np.frombuffer(text.encode("utf-8"), np.uint8).astype(np.uint32)
        + np.uint32(self._first)
        for text in texts
    ]

  def encode_special(self, texts: Sequence[str]) -> list[np.ndarray]:
    """Encodes like `encode_batch`: special ids have no strings."""
    return self.encode_batch(texts)

  def decode(self, ids: Sequence[int] | np.ndarray) -> str:
    """Returns the text of ids; special ids and broken bytes are left out."""
    first = self._first
    raw = bytes(int(i) - first for i in ids if first <= i < self.vocab_size)
    return raw.decode("utf-8", errors="ignore")

  def save(self, directory: pathlib.Path) -> None:
    """Records that the tokenizer is this one; it has no files."""
    saved.write(directory, "bytes", self.fingerprint)

  def export(self, directory: pathlib.Path) -> None:
    """Writes the files that transformers reads: ByT5 has the same ids."""
    config = {"tokenizer_class": "ByT5Tokenizer", "extra_ids": 0}
    artifacts.write_json(directory / "tokenizer_config.json", config)


@registry.tokenizer("bytes")
def build(data: config.Data) -> Bytes:
  """Returns the tokenizer, which has no options."""
  del data
  return Bytes()
