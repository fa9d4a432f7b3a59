"""Finds examples whose ids differ from those of their joined text.

Tokenizers merge characters within lines, and hardly ever across words, so a few
words of the lines on both sides of a border show whether a token of the joined
text would cross it. (In languages without spaces, a line is one word.)
"""

from collections.abc import Sequence
import itertools
import re

import numpy as np

from zsgen.data import tokenizers
from zsgen.data.prompts import joining, segments
from zsgen.data.prompts.segment import Segment

# Words on each side of a border that are compared.
_WORDS = 4
# The first words of a text, which end with its first line that is not empty.
_FIRST_WORDS = re.compile(
    rf"\s*(?:\S+(?:[^\S\n]+\S+){{0,{_WORDS - 1}}}[^\S\n]*)?"
)


def differ(
    parts: Sequence[Sequence[joining.Piece]],
    tokenizer: tokenizers.Tokenizer,
) -> np.ndarray:
  """Returns which examples have other ids than their joined text, bool [n].

  Pieces after an end token begin a new text, and so does text next to a
  template's special tokens.

  Args:
    parts: the pieces of each example, from `joining.split`.
    tokenizer: the tokenizer.

  Raises:
    UnicodeEncodeError: a text is not Unicode.
  """
  # Many examples have the same words at their border.
  owners: dict[tuple[joining.Piece, ...], list[int]] = {}
  for owner, pieces in enumerate(parts):
    for left, right in itertools.pairwise(pieces):
      if _touch(left.segment, right.segment):
        owners.setdefault(_around(left, right), []).append(owner)
  result = np.zeros(len(parts), bool)
  encoded = segments.encode_pieces(list(owners), tokenizer)
  for members, (left, right, joined) in zip(
      owners.values(), encoded, strict=True
  ):
    if not np.array_equal(np.concatenate([left, right]), joined):
      result[members] = True
  return result


def _touch(left: Segment, right: Segment) -> bool:
  """Returns whether a token could cross the border of two segments."""
  is_same_kind = left.special == right.special
  return bool(is_same_kind and not left.end and left.text and right.text)


def _around(
    left: joining.Piece, right: joining.Piece
) -> tuple[joining.Piece, ...]:
  """Returns the text before a border, after it, and both as one piece."""
  text = left.segment.text
  before = _last_words(text[_last_line(text) :])
  after = _FIRST_WORDS.match(right.segment.text)
  assert after is not None, "the pattern matches the empty text"
  texts = (before, after.group(), before + after.group())
  return tuple(
      piece._replace(segment=piece.segment._replace(text=words, end=False))
      for piece, words in zip((left, right, left), texts, strict=True)
  )


def _last_line(text: str) -> int:
  """Returns where the last line begins that does not begin with white space."""
  start = len(text.rstrip())
  while (start := text.rfind("\n", 0, start)) >= 0:
    if not text[start + 1].isspace():
      return start + 1
  return 0


def _last_words(text: str) -> str:
  """Returns the last words of a text, with the space before and after them."""
  parts = text.rsplit(maxsplit=_WORDS)
  return text[len(parts[0]) :] if len(parts) > _WORDS else text
