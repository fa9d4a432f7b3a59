"""SentencePiece models: a local `.model` file.

Control pieces ("<s>", "</s>") never come from text: the library itself splits
such a string into ordinary pieces. User-defined pieces do: whoever trained
the model asked for that.
"""

from collections.abc import Sequence
import hashlib
import os
import pathlib
import re
from typing import Any

import numpy as np

from zsgen import artifacts, errors
from zsgen.data.tokenizers import hf_files, saved, sentencepiece_json

FILE = "tokenizer.model"
_NAMES = ("bos", "eos", "pad", "unk")


class SentencePiece:
  """A SentencePiece model; its ids, its bos, eos and pad."""

  chat_template = None

  def __init__(self, proto: bytes, processor: Any):
    """Takes a model's file content, and the processor that it makes."""
    self._proto = proto
    self._processor = processor
    self.vocab_size: int = processor.get_piece_size()
    self.eos_id: int = processor.eos_id()
    self.bos_id: int | None = _known(processor.bos_id())
    pad = _known(processor.pad_id())
    self.pad_id: int = self.eos_id if pad is None else pad
    self.fingerprint = artifacts.digest(
        ["sentencepiece", hashlib.sha256(proto).hexdigest()]
    )
    self.special_ids: dict[str, int] = {
        processor.id_to_piece(i): i
        for i in range(self.vocab_size)
        if processor.is_control(i)
    }

  @property
  def special_tokens(self) -> dict[str, str]:
    """Strings of bos, eos, pad and unk, where the model has them."""
    ids = {name: getattr(self._processor, f"{name}_id")() for name in _NAMES}
    return {
        f"{name}_token": self._processor.id_to_piece(i)
        for name, i in ids.items()
        if i >= 0
    }

  def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
    """Ids of each text (uint32), without BOS or EOS, on all cores."""
    try:
      found = self._processor.encode(list(texts), out_type=int)
    except TypeError:
      for text in texts:
        text.encode()  # Says which text is not Unicode.
      raise
    return [np.array(ids, np.uint32) for ids in found]

  def encode_special(self, texts: Sequence[str]) -> list[np.ndarray]:
    """As `encode_batch`, but control pieces' strings become their ids."""
    longest_first = sorted(self.special_ids, key=len, reverse=True)
    pattern = f"({'|'.join(map(re.escape, longest_first))})"
    return [self._mixed(re.split(pattern, text)) for text in texts]

  def _mixed(self, parts: list[str]) -> np.ndarray:
    """Ids of text and control pieces, which take turns."""
    ids = self.encode_batch(parts[::2])
    for place, piece in enumerate(parts[1::2]):
      control = np.array([self.special_ids[piece]], np.uint32)
      ids.insert(2 * place + 1, control)
    return np.concatenate(ids)

  def decode(self, ids: Sequence[int]) -> str:
    """Text of the ids; control pieces are left out."""
    control = set(self.special_ids.values())
    return self._processor.decode(
        [
            int(i)
            for i in ids
            if 0 <= i < self.vocab_size and int(i) not in control
        ]
    )

  def save(self, directory: pathlib.Path) -> None:
    """Writes the model file and what it is."""
    directory.mkdir(parents=True, exist_ok=True)
    artifacts.write_bytes(directory / FILE, self._proto)
    saved.write(directory, "sentencepiece", self.fingerprint)

  def export(self, directory: pathlib.Path) -> None:
    """Writes what transformers reads.

    That is tokenizer.json, for Unigram and BPE models: ids are those of
    `encode_batch`, BOS before them where the model has one. Text that spells
    a special token becomes it there, as with every tokenizer of
    transformers'. Models that have no such counterpart (see
    `sentencepiece_json.convert`) are written as they are, as tokenizer.model:
    transformers reads that with its own conversion, whose ids may differ.
    """
    spec = sentencepiece_json.convert(self._proto, self.bos_id)
    if spec is None:
      artifacts.write_bytes(directory / FILE, self._proto)
    else:
      artifacts.write_json(directory / hf_files.TOKENIZER, spec)
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": self.bos_id is not None,
        "clean_up_tokenization_spaces": False,
        **self.special_tokens,
    }
    artifacts.write_json(directory / hf_files.CONFIG, config)


def read(path: str) -> SentencePiece:
  """Reads a `.model` file.

  Raises:
    InputError: the library or the file is missing, the file is no model, or
      the model has no end token.
  """
  try:
    import sentencepiece
  except ImportError as error:
    raise errors.InputError(
        "config.data.tokenizer='sentencepiece' needs the package: pip install"
        " sentencepiece."
    ) from error
  file = pathlib.Path(os.path.expanduser(path))
  if not file.is_file():
    raise errors.InputError(
        f"config.data.tokenizer_path: {file} is not a file. Name the .model"
        " file that SentencePiece wrote."
    )
  proto = file.read_bytes()
  processor = sentencepiece.SentencePieceProcessor()
  try:
    processor.LoadFromSerializedProto(proto)
  except RuntimeError as error:
    raise errors.InputError(f"{file}: is no SentencePiece model.") from error
  if not proto:  # The library takes this for a model.
    raise errors.InputError(f"{file}: is empty, no SentencePiece model.")
  if processor.eos_id() < 0:
    raise errors.InputError(
        f"{file}: the model has no end token, without which no answer ends."
        " Train it again with eos_id set (and not -1)."
    )
  return SentencePiece(proto, processor)


def _known(piece: int) -> int | None:
  """The id; None for -1, which says that there is none."""
  return None if piece < 0 else piece
