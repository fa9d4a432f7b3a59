"""Encodes text that continues other text, without an added space.

Llama 2's tokenizer, and others of SentencePiece's kind, put a space before a
text, so that its first word has the token of a word in a sentence. A piece of
an example that follows other text must not get one: "sea" after "say: " would
become "say: ▁ ▁sea". Such tokenizers have a `Continued`, which encodes text as
it is encoded inside a longer one. Others (byte-level ones, WordPiece) encode a
text in the same way wherever it is.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import functools
from typing import Any

import numpy as np

# Bumped when the ids of these tokenizers change; enters the names of stores.
VERSION = 1
# White space that a tokenizer may drop at the ends of a text.
_SPACES = " \n\t\r\v\f\u00a0\u2003\u3000"


@dataclasses.dataclass(frozen=True)
class Continued:
  """How a tokenizer encodes text that follows other text.

  Attributes:
    encode: gives the ids, uint32, of each text; the flag is whether special
      tokens in it are meant, as for `encode_special`.
    after_special: whether text after a special token begins by a space.
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

    The text that follows begins by a space.
    """
    return self._dropped([f"a{space}" for space in _SPACES])

  def _dropped(self, texts: Sequence[str]) -> frozenset[str]:
    plain, *spaced = self.encode(["a", *texts], False)
    return frozenset(
        space
        for space, ids in zip(_SPACES, spaced, strict=True)
        if np.array_equal(ids, plain)
    )


def without_prefix(spec: Mapping[str, Any]) -> dict[str, Any] | None:
  """Returns the tokenizer.json whose texts begin by no space.

  Returns:
    None where texts begin by none anyway, and where pieces of words are marked
    after a text is split at other places than white space. See `marks_words`.
  """
  normalizer, prepends = _without_prepend(spec.get("normalizer"))
  splitter, prefixes = _without_space(spec.get("pre_tokenizer"))
  if not (prepends or prefixes):
    return None
  return {**spec, "normalizer": normalizer, "pre_tokenizer": splitter}


def marks_words(spec: Mapping[str, Any]) -> bool:
  """Whether each word gets its own space, after a split at white space (T5).

  What has no prefix then is a text up to its first white space only.
  """
  step = _first(spec.get("pre_tokenizer"))
  return (step or {}).get("type") == "WhitespaceSplit"


def begins_after_special(spec: Mapping[str, Any]) -> bool:
  """Whether a tokenizer.json puts its space after special tokens, too.

  Only Metaspace of the scheme "first" does not.
  """
  if _without_prepend(spec.get("normalizer"))[1]:
    return True
  step = _first(spec.get("pre_tokenizer"))
  return not (step or {}).get("prepend_scheme") == "first"


def _first(step: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
  """The first pre-tokenizer."""
  while step and step.get("type") == "Sequence":
    step = next(iter(step["pretokenizers"]), None)
  return step


def _without_prepend(step: Any) -> tuple[Any, bool]:
  """The normalizer without what it puts before a text, and if it does."""
  if not step:
    return step, False
  if step.get("type") == "Prepend":
    return None, True
  if step.get("type") != "Sequence":
    return step, False
  found = [_without_prepend(each) for each in step["normalizers"]]
  kept = [each for each, _ in found if each]
  return {**step, "normalizers": kept}, any(changed for _, changed in found)


def _without_space(step: Any) -> tuple[Any, bool]:
  """The pre-tokenizer without its space at the beginning, and if it has one."""
  if not step:
    return step, False
  kind = step.get("type")
  if kind == "Sequence" and step["pretokenizers"]:
    steps = list(step["pretokenizers"])
    place = int(len(steps) > 1 and steps[0].get("type") == "WhitespaceSplit")
    steps[place], changed = _without_space(steps[place])
    return {**step, "pretokenizers": steps}, changed
  if kind == "ByteLevel" and step.get("add_prefix_space", True):
    return {**step, "add_prefix_space": False}, True
  if kind == "Metaspace" and _scheme(step) != "never":
    off: dict[str, Any] = {"prepend_scheme": "never"}
    if "add_prefix_space" in step:
      off["add_prefix_space"] = False
    return {**step, **off}, True
  return step, False


def _scheme(step: Mapping[str, Any]) -> str:
  """Metaspace's scheme; files of older versions have a flag."""
  if "prepend_scheme" in step:
    return step["prepend_scheme"]
  return "always" if step.get("add_prefix_space", True) else "never"
