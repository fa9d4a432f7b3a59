"""Encodes text that continues other text, without an added space.

Llama 2's tokenizer and others of SentencePiece's kind put a space before a
text, so that its first word has the token of a word in a sentence. A piece of
an example that follows other text must not get a space: "sea" after "say: "
would become "say: ▁ ▁sea". Such tokenizers have a `Continued`, which encodes
text as it is encoded inside a longer text. Others (byte-level ones, WordPiece)
encode a text in the same way everywhere.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import functools
from typing import Any

import numpy as np

# Incremented when the ids of these tokenizers change; part of stores' names.
VERSION = 1
# White space that a tokenizer may drop at the ends of a text.
_SPACES = " \n\t\r\v\f\u00a0\u2003\u3000"


@dataclasses.dataclass(frozen=True)
class Continued:
  """How a tokenizer encodes text that follows other text.

  Attributes:
    encode: returns the ids, uint32, of each text; the flag is whether to
      recognise special tokens, as `encode_special` does.
    after_special: whether text after a special token begins with a space.
  """

  encode: Callable[[Sequence[str], bool], list[np.ndarray]]
  after_special: bool

  @functools.cached_property
  def leading(self) -> frozenset[str]:
    """White space that is dropped at the beginning of a text; by trial."""
    return self._dropped([f"{space}a" for space in _SPACES])

  @functools.cached_property
  def trailing(self) -> frozenset[str]:
    """White space that is dropped at the end of a text; by trial.

    The text that follows then begins with a space.
    """
    return self._dropped([f"a{space}" for space in _SPACES])

  def _dropped(self, texts: Sequence[str]) -> frozenset[str]:
    """Returns the spaces that disappear before a text."""
    plain, *spaced = self.encode(["a", *texts], False)
    return frozenset(
        space
        for space, ids in zip(_SPACES, spaced, strict=True)
        if np.array_equal(ids, plain)
    )


def without_prefix(spec: Mapping[str, Any]) -> dict[str, Any] | None:
  """Returns the tokenizer.json without the space before a text.

  Returns:
    None if there is no such space, or if pieces of words are marked after a
    text is split at places other than white space. See `marks_words`.
  """
  normalizer, prepends = _without_prepend(spec.get("normalizer"))
  splitter, prefixes = _without_space(spec.get("pre_tokenizer"))
  if not (prepends or prefixes):
    return None
  return {**spec, "normalizer": normalizer, "pre_tokenizer": splitter}


def marks_words(spec: Mapping[str, Any]) -> bool:
  """Returns whether each word gets its own space after splitting (T5).

  In that case, only the text up to the first white space has no prefix.
  """
  step = _first(spec.get("pre_tokenizer"))
  return (step or {}).get("type") == "WhitespaceSplit"


def begins_after_special(spec: Mapping[str, Any]) -> bool:
  """Returns whether a tokenizer.json also adds its space after special tokens.

  All do, except Metaspace with the scheme "first".
  """
  if _without_prepend(spec.get("normalizer"))[1]:
    return True
  step = _first(spec.get("pre_tokenizer"))
  return not (step or {}).get("prepend_scheme") == "first"


def _first(step: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
  """Returns the first pre-tokenizer."""
  while step and step.get("type") == "Sequence":
    step = next(iter(step["pretokenizers"]), None)
  return step


def _without_prepend(step: Any) -> tuple[Any, bool]:
  """Returns the normalizer without its prefix, and whether it has one."""
  if not step:
    return step, False
  if step.get("type") == "Prepend":
    return None, True
  if step.get("type") != "Sequence":
    return step, False
  pairs = [_without_prepend(child) for child in step["normalizers"]]
  children = [child for child, _ in pairs if child]
  return {**step, "normalizers": children}, any(changed for _, changed in pairs)


def _without_space(step: Any) -> tuple[Any, bool]:
  """Returns the pre-tokenizer without its space, and whether it has one."""
  if not step:
    return step, False
  kind = step.get("type")
  if kind == "Sequence" and step["pretokenizers"]:
    steps = list(step["pretokenizers"])
    index = int(len(steps) > 1 and steps[0].get("type") == "WhitespaceSplit")
    steps[index], changed = _without_space(steps[index])
    return {**step, "pretokenizers": steps}, changed
  if kind == "ByteLevel" and step.get("add_prefix_space", True):
    return {**step, "add_prefix_space": False}, True
  if kind == "Metaspace" and _scheme(step) != "never":
    changes: dict[str, Any] = {"prepend_scheme": "never"}
    if "add_prefix_space" in step:
      changes["add_prefix_space"] = False
    return {**step, **changes}, True
  return step, False


def _scheme(step: Mapping[str, Any]) -> str:
  """Returns Metaspace's scheme; files of older versions have a flag."""
  if "prepend_scheme" in step:
    return step["prepend_scheme"]
  return "always" if step.get("add_prefix_space", True) else "never"
