"""Converts SentencePiece models to tokenizer.json of the tokenizers library.

Unigram and BPE models have a counterpart there. SentencePiece's other steps
become normalizers: its table of characters, then white space, then the mark for
a space before the text.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
import math
import struct
from typing import Any, NamedTuple

# Numbers of fields of ModelProto, TrainerSpec, NormalizerSpec and SentencePiece
# (sentencepiece_model.proto).
_PIECES, _TRAINER, _NORMALIZER = 1, 2, 3
_MODEL_TYPE, _SUFFIX = 3, 24
_CHARACTERS, _PREFIX, _STRIP, _ESCAPE = 2, 3, 4, 5
_TEXT, _SCORE, _TYPE = 1, 2, 3
# Fields of SentencePieceText (sentencepiece.proto): a piece, its id and its
# text.
_ENCODED, _ID, _SURFACE = 2, 2, 3
# Values of TrainerSpec.model_type and SentencePiece.type.
_UNIGRAM, _BPE = 1, 2
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6
# Represents a space.
SPACE = "\N{LOWER ONE EIGHTH BLOCK}"


class Piece(NamedTuple):
  """An entry of a vocabulary; `type` is SentencePiece's number."""

  text: str
  score: float
  type: int


def convert(proto: bytes, bos_id: int | None) -> dict[str, Any] | None:
  """Returns the model as the content of a tokenizer.json.

  Args:
    proto: the model file's content.
    bos_id: the token before a text, or None.

  Returns:
    The content, or None if there is no counterpart: for models of words or
    characters, with the mark after words, or with user-defined or unused
    pieces.
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
      or {piece.type for piece in pieces} - {NORMAL, UNKNOWN, CONTROL, BYTE}
  ):
    return None
  return assemble(
      pieces,
      model=_unigram(pieces) if kind == _UNIGRAM else bpe(pieces),
      normalizers=_normalizers(normalizer),
      has_prefix=bool(normalizer.get(_PREFIX, 1)),
      bos_id=bos_id,
  )


def assemble(
    pieces: Sequence[Piece],
    model: Mapping[str, Any],
    normalizers: Sequence[Mapping[str, Any]],
    has_prefix: bool,
    bos_id: int | None,
) -> dict[str, Any]:
  """Returns the content of a tokenizer.json.

  Args:
    pieces: the vocabulary, by id.
    model: the model of the tokenizers library.
    normalizers: the steps before a text is split into pieces.
    has_prefix: whether they put a space before a text.
    bos_id: the token before a text, or None.
  """
  added = [
      describe_added(i, piece.text, piece.type != USER_DEFINED)
      for i, piece in enumerate(pieces)
      if piece.type in (UNKNOWN, CONTROL, USER_DEFINED)
      and not _is_of_spaces(piece)
  ]
  bos = None if bos_id is None else pieces[bos_id].text
  return {
      "version": "1.0",
      "truncation": None,
      "padding": None,
      "added_tokens": added,
      "normalizer": _sequence("normalizers", normalizers),
      "pre_tokenizer": None,
      "post_processor": describe_bos(bos, bos_id),
      "decoder": _sequence("decoders", _decoders(has_prefix)),
      "model": dict(model),
  }


def adds_prefix(proto: bytes) -> bool:
  """Returns whether the model puts a space before a text."""
  model = dict(_fields(proto))
  trainer = dict(_fields(model.get(_TRAINER, b"")))
  if trainer.get(_SUFFIX, 0):  # After it.
    return False
  return bool(dict(_fields(model.get(_NORMALIZER, b""))).get(_PREFIX, 1))


def has_table(proto: bytes) -> bool:
  """Returns whether the model replaces characters by others (like NFKC)."""
  model = dict(_fields(proto))
  return bool(dict(_fields(model.get(_NORMALIZER, b""))).get(_CHARACTERS))


def read_spans(encoded: bytes) -> tuple[list[int], list[tuple[int, int]]]:
  """Returns the ids in a SentencePieceText, and the characters of each id."""
  ids, spans, end = [], [], 0
  for number, message in _fields(encoded):
    if number == _ENCODED:
      piece = dict(_fields(message))
      begin, end = end, end + len(piece.get(_SURFACE, b"").decode())
      ids.append(piece.get(_ID, 0))
      spans.append((begin, end))
  return ids, spans


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
  """Yields the number and value, an integer or bytes, of each field."""
  position = 0
  while position < len(message):
    key, position = _varint(message, position)
    number, wire = key >> 3, key & 7
    if wire == 0:
      value, position = _varint(message, position)
      yield number, value
      continue
    size = {1: 8, 5: 4}.get(wire)
    if size is None:
      size, position = _varint(message, position)
    yield number, message[position : position + size]
    position += size


def _varint(message: bytes, position: int) -> tuple[int, int]:
  """Returns the integer at a position, and the position after it."""
  value = shift = 0
  while True:
    byte = message[position]
    value |= (byte & 0x7F) << shift
    position, shift = position + 1, shift + 7
    if byte < 0x80:
      return value, position


def _piece(message: bytes) -> Piece:
  fields = dict(_fields(message))
  (score,) = struct.unpack("<f", fields.get(_SCORE, bytes(4)))
  return Piece(fields[_TEXT].decode(), score, fields.get(_TYPE, NORMAL))


def describe_added(i: int, text: str, special: bool) -> dict[str, Any]:
  """Returns a token that is matched wherever its string occurs."""
  names = ("single_word", "lstrip", "rstrip", "normalized")
  flags = dict.fromkeys(names, False)
  return {"id": i, "content": text, **flags, "special": special}


def _normalizers(spec: Mapping[int, Any]) -> list[dict[str, Any]]:
  """Returns the steps before a text is split into pieces."""
  steps = []
  if table := spec.get(_CHARACTERS):
    encoded = base64.b64encode(table).decode()
    steps.append({"type": "Precompiled", "precompiled_charsmap": encoded})
  if spec.get(_STRIP, 1):
    steps += [_replace(r"\A +| +\z", ""), _replace(" {2,}", " ")]
  return [*steps, *mark_spaces(bool(spec.get(_PREFIX, 1)))]


def mark_spaces(has_prefix: bool) -> list[dict[str, Any]]:
  """Returns the steps that mark spaces, and the one before the text if any."""
  space = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
  prefix = {"type": "Prepend", "prepend": SPACE}
  return [prefix, space] if has_prefix else [space]


def _replace(pattern: str, content: str) -> dict[str, Any]:
  return {"type": "Replace", "pattern": {"Regex": pattern}, "content": content}


def _decoders(has_prefix: bool) -> list[dict[str, Any]]:
  """Returns the steps that turn pieces into text."""
  steps = [
      {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
      {"type": "ByteFallback"},
      {"type": "Fuse"},
  ]
  if has_prefix:
    steps.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
  return steps


def _sequence(key: str, steps: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
  return {"type": "Sequence", key: list(steps)}


def describe_bos(bos: str | None, bos_id: int | None) -> dict[str, Any] | None:
  """Returns the step that puts BOS before a text; None without BOS."""
  if bos is None:
    return None
  texts = [{"Sequence": {"id": name, "type_id": 0}} for name in "AB"]
  first = {"SpecialToken": {"id": bos, "type_id": 0}}
  return {
      "type": "TemplateProcessing",
      "single": [first, texts[0]],
      "pair": [first, *texts],
      "special_tokens": {bos: {"id": bos, "ids": [bos_id], "tokens": [bos]}},
  }


def _unigram(pieces: Sequence[Piece]) -> dict[str, Any]:
  """Returns a model in which the likeliest pieces win."""
  return {
      "type": "Unigram",
      "unk_id": _unknown(pieces),
      "vocab": [[piece.text, piece.score] for piece in pieces],
      "byte_fallback": _has_bytes(pieces),
  }


def bpe(pieces: Sequence[Piece]) -> dict[str, Any]:
  """Returns a model that first merges neighbours with the best score.

  SentencePiece takes user-defined pieces of spaces out of a text before it
  merges anything; here, they are merged before anything else.
  """
  ids = {piece.text: i for i, piece in enumerate(pieces)}
  normal = {
      piece.text: piece.score if piece.type == NORMAL else math.inf
      for piece in pieces
      if piece.type == NORMAL or _is_of_spaces(piece)
  }
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


def _is_of_spaces(piece: Piece) -> bool:
  """Returns whether a piece is user-defined and stands for spaces."""
  return piece.type == USER_DEFINED and not piece.text.strip(SPACE)


def _unknown(pieces: Sequence[Piece]) -> int:
  return next(i for i, piece in enumerate(pieces) if piece.type == UNKNOWN)


def _has_bytes(pieces: Sequence[Piece]) -> bool:
  return any(piece.type == BYTE for piece in pieces)
