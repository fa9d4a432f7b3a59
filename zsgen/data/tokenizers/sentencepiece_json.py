"""SentencePiece models as tokenizer.json, which the tokenizers library reads.

Unigram and BPE models have a counterpart there. What SentencePiece does around
them is said in the library's words: its table of characters, then white space,
then the mark for a space before the text.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
import struct
from typing import Any, NamedTuple

# Numbers of the fields that are read: of ModelProto, TrainerSpec,
# NormalizerSpec and SentencePiece (sentencepiece_model.proto).
_PIECES, _TRAINER, _NORMALIZER = 1, 2, 3
_MODEL_TYPE, _SUFFIX = 3, 24
_CHARACTERS, _PREFIX, _STRIP, _ESCAPE = 2, 3, 4, 5
_TEXT, _SCORE, _TYPE = 1, 2, 3
# Of SentencePieceText (sentencepiece.proto): a piece, its id and its text.
_ENCODED, _ID, _SURFACE = 2, 2, 3
# Values of TrainerSpec.model_type and SentencePiece.type.
_UNIGRAM, _BPE = 1, 2
_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6
# Stands for a space.
_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"


class _Piece(NamedTuple):
  text: str
  score: float
  type: int


def convert(proto: bytes, bos_id: int | None) -> dict[str, Any] | None:
  """The model as the content of a tokenizer.json.

  Args:
    proto: the model file's content.
    bos_id: what stands before a text; None for nothing.

  Returns:
    None for what has no counterpart: models of words or characters, with the
    mark behind words, or with user-defined or unused pieces.
  """
  pieces = [
      _piece(message) for number, message in _fields(proto) if number == _PIECES
  ]
  model = dict(_fields(proto))
  trainer = dict(_fields(model.get(_TRAINER, b"")))
  normalizer = dict(_fields(model.get(_NORMALIZER, b"")))
  kind = trainer.get(_MODEL_TYPE, _UNIGRAM)
  if (
      kind not in (_UNIGRAM, _BPE)
      or trainer.get(_SUFFIX, 0)
      or not normalizer.get(_ESCAPE, 1)
      or {each.type for each in pieces} - {_NORMAL, _UNKNOWN, _CONTROL, _BYTE}
  ):
    return None
  special = [
      (i, each.text)
      for i, each in enumerate(pieces)
      if each.type in (_UNKNOWN, _CONTROL)
  ]
  return {
      "version": "1.0",
      "truncation": None,
      "padding": None,
      "added_tokens": [_added(*each) for each in special],
      "normalizer": _sequence("normalizers", _normalizers(normalizer)),
      "pre_tokenizer": None,
      "post_processor": _before(dict(special), bos_id),
      "decoder": _sequence("decoders", _decoders(normalizer)),
      "model": _unigram(pieces) if kind == _UNIGRAM else _bpe(pieces),
  }


def adds_prefix(proto: bytes) -> bool:
  """Whether the model puts a space before a text."""
  model = dict(_fields(proto))
  trainer = dict(_fields(model.get(_TRAINER, b"")))
  if trainer.get(_SUFFIX, 0):  # Behind it.
    return False
  return bool(dict(_fields(model.get(_NORMALIZER, b""))).get(_PREFIX, 1))


def has_table(proto: bytes) -> bool:
  """Whether the model replaces characters by others (as NFKC does)."""
  model = dict(_fields(proto))
  return bool(dict(_fields(model.get(_NORMALIZER, b""))).get(_CHARACTERS))


def read_spans(encoded: bytes) -> tuple[list[int], list[tuple[int, int]]]:
  """Ids in a SentencePieceText, and the characters that each stands for."""
  ids, spans, end = [], [], 0
  for number, message in _fields(encoded):
    if number == _ENCODED:
      piece = dict(_fields(message))
      begin, end = end, end + len(piece.get(_SURFACE, b"").decode())
      ids.append(piece.get(_ID, 0))
      spans.append((begin, end))
  return ids, spans


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
  """Number and value, an integer or bytes, of each field of a message."""
  at = 0
  while at < len(message):
    key, at = _varint(message, at)
    number, wire = key >> 3, key & 7
    if wire == 0:
      value, at = _varint(message, at)
      yield number, value
      continue
    size = {1: 8, 5: 4}.get(wire)
    if size is None:
      size, at = _varint(message, at)
    yield number, message[at : at + size]
    at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
  """The whole number at a position, and the position behind it."""
  value = shift = 0
  while True:
    byte = message[at]
    value |= (byte & 0x7F) << shift
    at, shift = at + 1, shift + 7
    if byte < 0x80:
      return value, at


def _piece(message: bytes) -> _Piece:
  fields = dict(_fields(message))
  (score,) = struct.unpack("<f", fields.get(_SCORE, bytes(4)))
  return _Piece(fields[_TEXT].decode(), score, fields.get(_TYPE, _NORMAL))


def _added(i: int, text: str) -> dict[str, Any]:
  """A token that is special wherever its string stands."""
  names = ("single_word", "lstrip", "rstrip", "normalized")
  flags = dict.fromkeys(names, False)
  return {"id": i, "content": text, **flags, "special": True}


def _normalizers(spec: Mapping[int, Any]) -> list[dict[str, Any]]:
  """What happens to a text before it is cut into pieces."""
  steps = []
  if table := spec.get(_CHARACTERS):
    encoded = base64.b64encode(table).decode()
    steps.append({"type": "Precompiled", "precompiled_charsmap": encoded})
  if spec.get(_STRIP, 1):
    steps += [_replace(r"\A +| +\z", ""), _replace(" {2,}", " ")]
  if spec.get(_PREFIX, 1):
    steps.append({"type": "Prepend", "prepend": _SPACE})
  space = {"type": "Replace", "pattern": {"String": " "}, "content": _SPACE}
  return [*steps, space]


def _replace(pattern: str, content: str) -> dict[str, Any]:
  return {"type": "Replace", "pattern": {"Regex": pattern}, "content": content}


def _decoders(spec: Mapping[int, Any]) -> list[dict[str, Any]]:
  """How pieces become text."""
  steps = [
      {"type": "Replace", "pattern": {"String": _SPACE}, "content": " "},
      {"type": "ByteFallback"},
      {"type": "Fuse"},
  ]
  if spec.get(_PREFIX, 1):
    steps.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
  return steps


def _sequence(key: str, steps: Sequence[dict[str, Any]]) -> dict[str, Any]:
  return {"type": "Sequence", key: list(steps)}


def _before(
    special: Mapping[int, str], bos_id: int | None
) -> dict[str, Any] | None:
  """Puts BOS before a text."""
  if bos_id is None:
    return None
  bos = special[bos_id]
  texts = [{"Sequence": {"id": name, "type_id": 0}} for name in "AB"]
  first = {"SpecialToken": {"id": bos, "type_id": 0}}
  return {
      "type": "TemplateProcessing",
      "single": [first, texts[0]],
      "pair": [first, *texts],
      "special_tokens": {bos: {"id": bos, "ids": [bos_id], "tokens": [bos]}},
  }


def _unigram(pieces: Sequence[_Piece]) -> dict[str, Any]:
  """The likeliest pieces win."""
  return {
      "type": "Unigram",
      "unk_id": _unknown(pieces),
      "vocab": [[each.text, each.score] for each in pieces],
      "byte_fallback": _has_bytes(pieces),
  }


def _bpe(pieces: Sequence[_Piece]) -> dict[str, Any]:
  """Neighbours that make the best piece are merged first."""
  ids = {each.text: i for i, each in enumerate(pieces)}
  normal = {each.text: each.score for each in pieces if each.type == _NORMAL}
  merges = [
      (-score, ids[text], ids[text[:cut]], ids[text[cut:]], text, cut)
      for text, score in normal.items()
      for cut in range(1, len(text))
      if text[:cut] in normal and text[cut:] in normal
  ]
  return {
      "type": "BPE",
      "dropout": None,
      "unk_token": pieces[_unknown(pieces)].text,
      "continuing_subword_prefix": None,
      "end_of_word_suffix": None,
      "fuse_unk": True,
      "byte_fallback": _has_bytes(pieces),
      "ignore_merges": False,
      "vocab": ids,
      "merges": [[text[:cut], text[cut:]] for *_, text, cut in sorted(merges)],
  }


def _unknown(pieces: Sequence[_Piece]) -> int:
  return next(i for i, each in enumerate(pieces) if each.type == _UNKNOWN)


def _has_bytes(pieces: Sequence[_Piece]) -> bool:
  return any(each.type == _BYTE for each in pieces)
