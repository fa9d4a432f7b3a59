"""SentencePiece models: a local `.model` file.

Control pieces ("<s>", "</s>") never come from text: the library splits such
strings into ordinary pieces. User-defined pieces do, as their model intends.
"""

from collections.abc import Sequence
import functools
import hashlib
import os
import pathlib
import re
from typing import Any

import numpy as np

from zsgen.core import artifacts, errors, registry
from zsgen.data.tokenizers import (
    continued,
    hf_files,
    loaded,
    losses,
    options,
    saved,
    sentencepiece_json,
)

FILE = "tokenizer.model"
_NAMES = ("bos", "eos", "pad", "unk")
# A NormalizerSpec with `add_dummy_prefix` off, as a field of a ModelProto. If a
# field occurs twice, protocol buffers use the last value.
_NO_PREFIX = b"\x1a\x02\x18\x00"


class SentencePiece:
  """A SentencePiece model with its ids, bos, eos and pad."""

  chat_template = None

  def __init__(self, proto: bytes, processor: Any):
    """Initializes the tokenizer from a model's content and its processor."""
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
    """The strings of bos, eos, pad and unk, if the model has them."""
    ids = {name: getattr(self._processor, f"{name}_id")() for name in _NAMES}
    return {
        f"{name}_token": self._processor.id_to_piece(i)
        for name, i in ids.items()
        if i >= 0
    }

  @functools.cached_property
  def continued(self) -> continued.Continued | None:
    """How to encode text that follows other text."""
    if not self._adds_prefix:
      return None
    return continued.Continued(self._encode_continued, after_special=True)

  @functools.cached_property
  def lost(self) -> losses.Lost | None:
    """Finds the text that is lost; None if none can be."""
    if self._has_bytes and not sentencepiece_json.has_table(self._proto):
      return None
    unknown = None if self._has_bytes else _known(self._processor.unk_id())
    return losses.Lost(
        self._spans,
        unknown,
        self._processor.normalize,
        special=list(self.special_ids),
    )

  @functools.cached_property
  def _adds_prefix(self) -> bool:
    return sentencepiece_json.adds_prefix(self._proto)

  @property
  def _has_bytes(self) -> bool:
    return any(map(self._processor.is_byte, range(self.vocab_size)))

  @functools.cached_property
  def _inside(self) -> Any:
    """The processor of text inside other text."""
    import sentencepiece

    if not self._adds_prefix:
      return self._processor
    processor = sentencepiece.SentencePieceProcessor()
    processor.LoadFromSerializedProto(self._proto + _NO_PREFIX)
    return processor

  def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
    """Returns the ids of each text (uint32), without BOS or EOS, on all cores."""
    return _encode(self._processor, texts)

  def encode_special(self, texts: Sequence[str]) -> list[np.ndarray]:
    """Encodes like `encode_batch`, but strings of control pieces become their
    ids.
    """
    return [
        self._mixed(self.encode_batch(parts[::2]), parts[1::2])
        for parts in map(self._pattern.split, texts)
    ]

  def _encode_continued(
      self, texts: Sequence[str], special: bool
  ) -> list[np.ndarray]:
    """Returns the ids of each text as they are inside a longer one."""
    if not special:
      return _encode(self._inside, texts)
    rows = [self._pattern.split(text) for text in texts]
    heads = _encode(self._inside, [parts[0] for parts in rows])
    return [
        self._mixed([head, *self.encode_batch(parts[2::2])], parts[1::2])
        for head, parts in zip(heads, rows, strict=True)
    ]

  @functools.cached_property
  def _pattern(self) -> re.Pattern[str]:
    """Matches control pieces, in a group so that `split` keeps them."""
    longest_first = sorted(self.special_ids, key=len, reverse=True)
    return re.compile(f"({'|'.join(map(re.escape, longest_first))})")

  def _mixed(
      self, ids: Sequence[np.ndarray], pieces: Sequence[str]
  ) -> np.ndarray:
    """Joins the ids of texts and of the control pieces between them."""
    between = [np.array([self.special_ids[text]], np.uint32) for text in pieces]
    joined = [ids[0]]
    for control, text in zip(between, ids[1:], strict=True):
      joined += [control, text]
    return np.concatenate(joined)

  def _spans(self, texts: Sequence[str]) -> list[tuple[list, list]]:
    """Returns the ids of each text, and the characters of each id."""
    encodings = self._inside.encode(list(texts), out_type="serialized_proto")
    return list(map(sentencepiece_json.read_spans, encodings))

  def decode(self, ids: Sequence[int] | np.ndarray) -> str:
    """Returns the text of ids, without control pieces."""
    control = set(self.special_ids.values())
    return self._processor.decode(
        [
            int(i)
            for i in ids
            if 0 <= i < self.vocab_size and int(i) not in control
        ]
    )

  def save(self, directory: pathlib.Path) -> None:
    """Writes the model file and its record."""
    directory.mkdir(parents=True, exist_ok=True)
    artifacts.write_bytes(directory / FILE, self._proto)
    saved.write(directory, "sentencepiece", self.fingerprint)

  def export(self, directory: pathlib.Path) -> None:
    """Writes the files that transformers reads.

    For Unigram and BPE models it is tokenizer.json: ids are those of
    `encode_batch`, after BOS if the model has one. Text that spells a special
    token becomes that token, as in all tokenizers of transformers. Models
    without such a counterpart (see `sentencepiece_json.convert`) are written
    unchanged, as tokenizer.model: transformers reads it with its own
    conversion, whose ids may differ.
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
    InputError: the library or the file is missing, the file is not a model, or
      the model has no end token.
  """
  library = _library()
  file = pathlib.Path(os.path.expanduser(path))
  if not file.is_file():
    raise errors.InputError(
        f"config.data.tokenizer_path: {file} is not a file. Set it to the"
        " .model file that SentencePiece wrote."
    )
  proto = file.read_bytes()
  key = artifacts.digest(["sentencepiece", hashlib.sha256(proto).hexdigest()])
  return loaded.get(key, functools.partial(_load, library, proto, file))


def _library() -> Any:
  """Returns the module of the library, which is optional."""
  try:
    import sentencepiece
  except ImportError as error:
    raise errors.InputError(
        "config.data.tokenizer='sentencepiece' needs the package: pip install"
        " sentencepiece."
    ) from error
  return sentencepiece


def _load(library: Any, proto: bytes, file: pathlib.Path) -> SentencePiece:
  """Loads the content of a `.model` file."""
  processor = library.SentencePieceProcessor()
  try:
    processor.LoadFromSerializedProto(proto)
  except RuntimeError as error:
    raise errors.InputError(f"{file}: is not a SentencePiece model.") from error
  if not proto:  # The library accepts this as a model.
    raise errors.InputError(f"{file}: is empty, not a SentencePiece model.")
  if processor.eos_id() < 0:
    raise errors.InputError(
        f"{file}: the model has no end token, so that no answer would end."
        " Train it again with eos_id set (and not -1)."
    )
  return SentencePiece(proto, processor)


def _encode(processor: Any, texts: Sequence[str]) -> list[np.ndarray]:
  """Returns the ids of each text, uint32, on all cores."""
  try:
    encodings = processor.encode(list(texts), out_type=int)
  except TypeError:
    for text in texts:
      text.encode()  # Raises an error that has the text that is not Unicode.
    raise
  return [np.array(ids, np.uint32) for ids in encodings]


def _known(piece: int) -> int | None:
  """Returns the id, or None for -1, which means that there is none."""
  return None if piece < 0 else piece


@registry.tokenizer("sentencepiece", options=options.Files)
def build(data: options.Files) -> SentencePiece:
  """Returns the tokenizer of `config.data.tokenizer_path`; see `read`."""
  return read(options.path_of(data))
