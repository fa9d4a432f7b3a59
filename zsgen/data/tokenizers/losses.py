"""Finds the text that a tokenizer loses.

A BPE without an unknown token leaves out unknown characters, a normalizer may
delete or change characters, and an unknown token may replace any text. A byte
tokenizer loses nothing. Whether a tokenizer can lose text is determined once,
so that checks are free for those that cannot.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import functools
import re
from typing import Any, NamedTuple
import unicodedata

# Ids of each text, and the range of characters of each id.
Spans = Callable[
    [Sequence[str]], Sequence[tuple[Sequence[int], Sequence[tuple[int, int]]]]
]
# Steps that do not delete visible characters.
_KEEPING = frozenset(
    "NFC NFD NFKC NFKD Lowercase Prepend Append ByteLevel Strip Metaspace"
    " Digits UnicodeScripts BertPreTokenizer Whitespace WhitespaceSplit"
    " FixedLength".split()
)
# Steps that do not change them either.
_UNCHANGING = frozenset("NFC Prepend Append ByteLevel Strip".split())
_WORD_START = "\N{LOWER ONE EIGHTH BLOCK}"
_BYTES = 256


class Loss(NamedTuple):
  """What a tokenizer loses of a text.

  Attributes:
    dropped: visible characters without a token.
    unknown: characters that become the unknown token.
    changed: whether other characters are changed, for example to lower case.
  """

  dropped: str = ""
  unknown: str = ""
  changed: bool = False


class Lost:
  """Finds the text that is lost; for tokenizers that can lose text.

  Attributes:
    unknown_id: the id of the unknown token, or None.
  """

  def __init__(
      self,
      spans: Spans,
      unknown_id: int | None,
      normalize: Callable[[str], str] | None = None,
      count_bytes: Callable[[Sequence[int]], int] | None = None,
      special: Sequence[str] = (),
  ):
    """Initializes the search with functions of the tokenizer.

    Args:
      spans: encodes text without recognising special tokens and without a
        leading space.
      unknown_id: see the class.
      normalize: returns a text as the model sees it; None if unchanged.
      count_bytes: returns the number of bytes of ids, for models of bytes only.
      special: strings of special tokens.
    """
    self.unknown_id = unknown_id
    self._spans = spans
    self._normalize = normalize
    self._count_bytes = count_bytes
    texts = sorted(special, key=len, reverse=True)
    self._special = re.compile("|".join(map(re.escape, texts)) or r"(?!)")
    self._known: dict[str, bool] = {}

  def find(
      self, texts: Sequence[str], special: bool, has_unknown: Sequence[bool]
  ) -> list[Loss]:
    """Returns what is lost of each text.

    Args:
      texts: the texts.
      special: whether to recognise strings of special tokens.
      has_unknown: whether the ids of each text may have the unknown token.
    """
    if special:
      texts = [self._special.sub("", text) for text in texts]
    self._learn(set().union(*texts))
    losses = [Loss(changed=self._changes(text)) for text in texts]
    suspects = [
        i
        for i, text in enumerate(texts)
        if has_unknown[i] or not all(map(self._known.__getitem__, set(text)))
    ]
    results = self._spans([texts[i] for i in suspects]) if suspects else ()
    for i, (ids, spans) in zip(suspects, results, strict=True):
      dropped, unknown = self._missing(texts[i], ids, spans)
      losses[i] = losses[i]._replace(dropped=dropped, unknown=unknown)
    return losses

  def _learn(self, characters: set[str]) -> None:
    """Tries new characters, each on its own."""
    new = sorted(characters - self._known.keys())
    if not new:
      return
    for char, (ids, _) in zip(new, self._spans(new), strict=True):
      is_known = bool(ids) or not _is_visible(char)
      if is_known and self._count_bytes:
        is_known = self._count_bytes(ids) >= len(char.encode())
      self._known[char] = is_known and self.unknown_id not in ids

  def _missing(
      self,
      text: str,
      ids: Sequence[int],
      spans: Sequence[tuple[int, int]],
  ) -> tuple[str, str]:
    """Returns the characters that are dropped, and those that are unknown."""
    if self._count_bytes:
      return "".join(c for c in text if not self._known[c]), ""
    # 1 at characters with a token, or with the unknown token.
    has_token, is_unknown = bytearray(len(text)), bytearray(len(text))
    for i, (begin, end) in zip(ids, spans, strict=True):
      flags = is_unknown if i == self.unknown_id else has_token
      flags[begin:end] = b"\1" * (end - begin)
    dropped_chars, unknown_chars = [], []
    position = has_token.find(0)
    while position >= 0:
      if (
          _is_composed(text[max(position - 1, 0) : position + 1])
          and has_token[position - 1]
      ):
        has_token[position] = (
            1  # The combining mark is in the token of its letter.
        )
      elif _is_visible(text[position]):
        (unknown_chars if is_unknown[position] else dropped_chars).append(
            text[position]
        )
      position = has_token.find(0, position + 1)
    return "".join(dropped_chars), "".join(unknown_chars)

  def _changes(self, text: str) -> bool:
    """Returns whether the model sees another text, except for white space."""
    if self._normalize is None:
      return False
    return _without_spaces(self._normalize(text)) != _without_spaces(text)


def of_library(
    library: Any,
    spec: Mapping[str, Any],
    spans: Callable[[Any, Sequence[str]], Any],
) -> Lost | None:
  """Returns the search for a tokenizer of the tokenizers library.

  Args:
    library: the tokenizer for text, without special tokens and without a
      leading space.
    spec: tokenizer.json.
    spans: returns the `Spans` of a tokenizer.

  Returns:
    None if it can neither lose nor change text.
  """
  steps = list(_steps([spec.get("normalizer"), spec.get("pre_tokenizer")]))
  changes = any(
      str(step.get("type")) not in _UNCHANGING and not _marks_spaces(step)
      for step in _steps(spec.get("normalizer"))
  )
  if _knows_all(spec, steps) and all(map(_keeps, steps)) and not changes:
    return None
  normalizer = library.normalizer if changes else None
  count_bytes = functools.partial(_count_bytes, library)
  return Lost(
      functools.partial(spans, library),
      _unknown_id(spec),
      normalizer and normalizer.normalize_str,
      count_bytes if _is_byte_level(steps) else None,
      [token["content"] for token in spec["added_tokens"] if token["special"]],
  )


def _knows_all(
    spec: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]
) -> bool:
  """Returns whether the model has a token for each byte."""
  vocab = spec["model"]["vocab"]
  pieces = vocab if isinstance(vocab, dict) else {piece for piece, _ in vocab}
  if spec["model"].get("byte_fallback"):
    return all(f"<0x{byte:02X}>" in pieces for byte in range(_BYTES))
  if not _is_byte_level(steps) or spec["model"].get("type") != "BPE":
    return False
  return all(char in pieces for char in _alphabet())


def _is_byte_level(steps: Sequence[Mapping[str, Any]]) -> bool:
  return any(step.get("type") == "ByteLevel" for step in steps)


def _alphabet() -> list[str]:
  """Returns the characters that represent bytes."""
  import tokenizers

  return tokenizers.pre_tokenizers.ByteLevel.alphabet()


def _count_bytes(library: Any, ids: Sequence[int]) -> int:
  """Returns the bytes of ids whose strings have one character per byte."""
  return sum(len(library.id_to_token(i)) for i in ids)


def _unknown_id(spec: Mapping[str, Any]) -> int | None:
  """Returns the id of the unknown token."""
  model = spec["model"]
  if isinstance(model["vocab"], list):
    return model.get("unk_id")
  ids = {token["content"]: token["id"] for token in spec["added_tokens"]}
  return (model["vocab"] | ids).get(model.get("unk_token"))


def _steps(node: Any) -> Iterator[Mapping[str, Any]]:
  """Yields the normalizers or pre-tokenizers in a sequence."""
  if isinstance(node, list):
    for child in node:
      yield from _steps(child)
  elif isinstance(node, dict) and node.get("type") == "Sequence":
    yield from _steps(node.get("normalizers") or node.get("pretokenizers"))
  elif node:
    yield node


def _keeps(step: Mapping[str, Any]) -> bool:
  """Returns whether a step keeps all visible characters."""
  if step.get("type") == "Replace":
    return bool(step["content"])
  if step.get("type") in ("Split", "Punctuation"):
    return step.get("behavior") != "Removed"
  return str(step.get("type")) in _KEEPING


def _marks_spaces(step: Mapping[str, Any]) -> bool:
  """Returns whether a step only replaces spaces by the word mark or a space."""
  if step.get("type") != "Replace":
    return False
  pattern = step["pattern"]
  spaces = pattern.get("String") == " " or pattern.get("Regex") == " {2,}"
  return spaces and step["content"] in (" ", _WORD_START)


def _is_visible(char: str) -> bool:
  """Returns whether a character is visible: not white space or control."""
  return not char.isspace() and unicodedata.category(char)[0] != "C"


def _is_composed(pair: str) -> bool:
  """Returns whether a letter and a mark compose to one character."""
  return bool(
      unicodedata.combining(pair[-1])
      and len(pair) == 2
      and len(unicodedata.normalize("NFC", pair)) == 1
  )


def _without_spaces(text: str) -> str:
  """Returns the composed text without white space and word marks."""
  text = "".join(text.replace(_WORD_START, "").split())
  return unicodedata.normalize("NFC", text)
