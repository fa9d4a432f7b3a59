"""Finds examples whose ids differ from those of their joined text.

Tokenizers merge characters within lines, and hardly ever across words, so a few
words of the lines on both sides of a border show whether a token of the joined
text would cross it. (In languages without spaces, a line is one word.)
"""

from collections.abc import Iterator, Sequence
import itertools
import re
from typing import NamedTuple

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
    ids: Sequence[Sequence[np.ndarray]],
    tokenizer: tokenizers.Tokenizer,
) -> np.ndarray:
  """Returns which examples have other ids than their joined text, bool [n].

  Pieces after an end token begin a new text, and so does text next to a
  template's special tokens.

  Args:
    parts: the pieces of each example, from `joining.split`.
    ids: of each piece of each example, from `segments.encode_pieces`.
    tokenizer: the tokenizer.

  Raises:
    UnicodeEncodeError: a text is not Unicode.
  """
  borders = list(_borders(parts, ids))
  # Many examples have the same words at their border.
  texts = list(dict.fromkeys(border.words[2] for border in borders))
  encoded = segments.encode_pieces([[text] for text in texts], tokenizer)
  joined = {text: words for text, (words,) in zip(texts, encoded, strict=True)}
  suspects = [
      border for border in borders if not _has(border, joined[border.words[2]])
  ]
  # Words at the beginning of a text may have other ids than inside it. So the
  # words before and after these borders are encoded on their own, too.
  result = np.zeros(len(parts), bool)
  encoded = segments.encode_pieces([b.words for b in suspects], tokenizer)
  for border, (left, right, words) in zip(suspects, encoded, strict=True):
    if not np.array_equal(np.concatenate([left, right]), words):
      result[border.owner] = True
  return result


class _Border(NamedTuple):
  """A border between two pieces of an example.

  Attributes:
    owner: the number of the example.
    words: the text before the border, after it, and both as one piece.
    left: the ids of the piece before the border.
    right: the ids of the piece after it.
  """

  owner: int
  words: tuple[joining.Piece, joining.Piece, joining.Piece]
  left: np.ndarray
  right: np.ndarray


def _borders(
    parts: Sequence[Sequence[joining.Piece]],
    ids: Sequence[Sequence[np.ndarray]],
) -> Iterator[_Border]:
  """Yields the borders that a token could cross."""
  for owner, (pieces, arrays) in enumerate(zip(parts, ids, strict=True)):
    for (left, right), ids_around in zip(
        itertools.pairwise(pieces), itertools.pairwise(arrays), strict=True
    ):
      if _touch(left.segment, right.segment):
        yield _Border(owner, _around(left, right), *ids_around)


def _has(border: _Border, words: np.ndarray) -> bool:
  """Returns whether ids from both sides of a border are those of its words."""
  size = len(words)
  left, right = border.left[-size:], border.right[:size]
  around, target = np.concatenate([left, right]).tobytes(), words.tobytes()
  middle = len(left) * words.itemsize
  begins = range(
      max(0, middle - len(target) + words.itemsize), middle, words.itemsize
  )
  return any(around.startswith(target, begin) for begin in begins)


def _touch(left: Segment, right: Segment) -> bool:
  """Returns whether a token could cross the border of two segments."""
  is_same_kind = left.special == right.special
  return bool(is_same_kind and not left.end and left.text and right.text)


def _around(
    left: joining.Piece, right: joining.Piece
) -> tuple[joining.Piece, joining.Piece, joining.Piece]:
  """Returns the text before a border, after it, and both as one piece."""
  text = left.segment.text
  before = _last_words(text[_last_line(text) :])
  after = _FIRST_WORDS.match(right.segment.text)
  assert after is not None, "the pattern matches the empty text"
  special = left.segment.special
  texts = (before, after.group(), before + after.group())
  first, second, joined = (Segment(t, False, special=special) for t in texts)
  return (
      joining.Piece(first, left.continues),
      joining.Piece(second, right.continues),
      joining.Piece(joined, left.continues),
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
