"""Finds the text that a tokenizer loses.

A BPE without an unknown token leaves out unknown characters, a normalizer may
delete or change characters, and an unknown token may stand for any text. A byte
tokenizer loses nothing. Whether a tokenizer can lose text is decided once, so
that checks cost nothing for those that cannot.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import functools
import re
from typing import Any, NamedTuple
import unicodedata

# Ids of each text, and the characters, from and to, that each id stands for.
Spans = Callable[
    [Sequence[str]], Sequence[tuple[Sequence[int], Sequence[tuple[int, int]]]]
]
# Neither of these steps deletes what can be seen.
_KEEPING = frozenset(
    "NFC NFD NFKC NFKD Lowercase Prepend Append ByteLevel Strip Metaspace"
    " Digits UnicodeScripts BertPreTokenizer Whitespace WhitespaceSplit"
    " FixedLength".split()
)
# Nor do these change it.
_SAME = frozenset("NFC Prepend Append ByteLevel Strip".split())
_WORD_START = "\N{LOWER ONE EIGHTH BLOCK}"
_BYTES = 256


class Loss(NamedTuple):
  """What a tokenizer loses of one text.

  Attributes:
    dropped: characters that can be seen, and that no token stands for.
    unknown: characters that the unknown token stands for.
    changed: whether others are changed, as by small letters.
  """

  dropped: str = ""
  unknown: str = ""
  changed: bool = False


class Lost:
  """Finds what is lost of texts; for tokenizers that can lose any.

  Attributes:
    unknown_id: of the unknown token; None where there is none.
  """

  def __init__(
      self,
      spans: Spans,
      unknown_id: int | None,
      normalize: Callable[[str], str] | None = None,
      count_bytes: Callable[[Sequence[int]], int] | None = None,
      special: Sequence[str] = (),
  ):
    """Takes what the tokenizer can do.

    Args:
      spans: encodes text in which no special token is meant, without a space
        before it.
      unknown_id: see the class.
      normalize: gives a text as the model sees it; None: unchanged.
      count_bytes: bytes that ids stand for, for models of bytes only.
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
      texts: to look at.
      special: whether strings of special tokens in them are meant.
      has_unknown: whether the ids of each may have the unknown token.
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
    found = self._spans([texts[i] for i in suspects]) if suspects else ()
    for i, (ids, spans) in zip(suspects, found, strict=True):
      dropped, unknown = self._missing(texts[i], ids, spans)
      losses[i] = losses[i]._replace(dropped=dropped, unknown=unknown)
    return losses

  def _learn(self, characters: set[str]) -> None:
    """Tries characters that did not come before, each alone."""
    new = sorted(characters - self._known.keys())
    if not new:
      return
    for char, (ids, _) in zip(new, self._spans(new), strict=True):
      known = bool(ids) or not _is_seen(char)
      if known and self._count_bytes:
        known = self._count_bytes(ids) >= len(char.encode())
      self._known[char] = known and self.unknown_id not in ids

  def _missing(
      self,
      text: str,
      ids: Sequence[int],
      spans: Sequence[tuple[int, int]],
  ) -> tuple[str, str]:
    """Characters that are dropped, and that are unknown."""
    if self._count_bytes:
      return "".join(c for c in text if not self._known[c]), ""
    # 1 at characters that a token, or the unknown token, stands for.
    kept, unknown = bytearray(len(text)), bytearray(len(text))
    for i, (begin, end) in zip(ids, spans, strict=True):
      covered = unknown if i == self.unknown_id else kept
      covered[begin:end] = b"\1" * (end - begin)
    dropped, lost = [], []
    place = kept.find(0)
    while place >= 0:
      if _is_composed(text[max(place - 1, 0) : place + 1]) and kept[place - 1]:
        kept[place] = 1  # The mark is in the token of its letter.
      elif _is_seen(text[place]):
        (lost if unknown[place] else dropped).append(text[place])
      place = kept.find(0, place + 1)
    return "".join(dropped), "".join(lost)

  def _changes(self, text: str) -> bool:
    """Whether the model sees another text, white space aside."""
    if self._normalize is None:
      return False
    return _bare(self._normalize(text)) != _bare(text)


def of_library(
    library: Any,
    spec: Mapping[str, Any],
    spans: Callable[[Any, Sequence[str]], Any],
) -> Lost | None:
  """Returns what finds losses of a tokenizer of the tokenizers library.

  Args:
    library: the tokenizer in which no special token is meant, without a space
      before a text.
    spec: tokenizer.json.
    spans: gives `Spans` of it.

  Returns:
    None if it can neither lose nor change text.
  """
  steps = list(_steps([spec.get("normalizer"), spec.get("pre_tokenizer")]))
  changes = any(
      str(each.get("type")) not in _SAME and not _marks_spaces(each)
      for each in _steps(spec.get("normalizer"))
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
      [each["content"] for each in spec["added_tokens"] if each["special"]],
  )


def _knows_all(
    spec: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]
) -> bool:
  """Whether the model has a token for each byte."""
  vocab = spec["model"]["vocab"]
  pieces = vocab if isinstance(vocab, dict) else {piece for piece, _ in vocab}
  if spec["model"].get("byte_fallback"):
    return all(f"<0x{byte:02X}>" in pieces for byte in range(_BYTES))
  if not _is_byte_level(steps) or spec["model"].get("type") != "BPE":
    return False
  return all(char in pieces for char in _alphabet())


def _is_byte_level(steps: Sequence[Mapping[str, Any]]) -> bool:
  return any(each.get("type") == "ByteLevel" for each in steps)


def _alphabet() -> list[str]:
  """The characters that stand for bytes."""
  import tokenizers

  return tokenizers.pre_tokenizers.ByteLevel.alphabet()


def _count_bytes(library: Any, ids: Sequence[int]) -> int:
  """Bytes of ids whose strings have a character a byte."""
  return sum(len(library.id_to_token(i)) for i in ids)


def _unknown_id(spec: Mapping[str, Any]) -> int | None:
  """The id of the unknown token."""
  model = spec["model"]
  if isinstance(model["vocab"], list):
    return model.get("unk_id")
  ids = {each["content"]: each["id"] for each in spec["added_tokens"]}
  return (model["vocab"] | ids).get(model.get("unk_token"))


def _steps(node: Any) -> Iterator[Mapping[str, Any]]:
  """The normalizers or pre-tokenizers in a sequence."""
  if isinstance(node, list):
    for child in node:
      yield from _steps(child)
  elif isinstance(node, dict) and node.get("type") == "Sequence":
    yield from _steps(node.get("normalizers") or node.get("pretokenizers"))
  elif node:
    yield node


def _keeps(step: Mapping[str, Any]) -> bool:
  """Whether a step deletes nothing that can be seen."""
  if step.get("type") == "Replace":
    return bool(step["content"])
  if step.get("type") in ("Split", "Punctuation"):
    return step.get("behavior") != "Removed"
  return str(step.get("type")) in _KEEPING


def _marks_spaces(step: Mapping[str, Any]) -> bool:
  """Whether a step replaces spaces by the mark of words, or by fewer."""
  if step.get("type") != "Replace":
    return False
  pattern = step["pattern"]
  spaces = pattern.get("String") == " " or pattern.get("Regex") == " {2,}"
  return spaces and step["content"] in (" ", _WORD_START)


def _is_seen(char: str) -> bool:
  """Whether a character is text: no white space, no control."""
  return not char.isspace() and unicodedata.category(char)[0] != "C"


def _is_composed(pair: str) -> bool:
  """Whether a letter and a mark are one character when composed."""
  return bool(
      unicodedata.combining(pair[-1])
      and len(pair) == 2
      and len(unicodedata.normalize("NFC", pair)) == 1
  )


def _bare(text: str) -> str:
  """The text without white space and marks of words, composed."""
  text = "".join(text.replace(_WORD_START, "").split())
  return unicodedata.normalize("NFC", text)
