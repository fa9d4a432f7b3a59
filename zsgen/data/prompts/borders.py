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
  texts = list(dict.fromkeys(border.text for border in borders))
  pieces = [[_piece(*text)] for text in texts]
  encoded = segments.encode_pieces(pieces, tokenizer)
  joined = {text: words for text, (words,) in zip(texts, encoded, strict=True)}
  suspects = [
      border for border in borders if not _has(border, joined[border.text])
  ]
  # Words at the beginning of a text may have other ids than inside it. So the
  # words before and after these borders are encoded on their own, too.
  result = np.zeros(len(parts), bool)
  encoded = segments.encode_pieces([b.pieces() for b in suspects], tokenizer)
  for border, (left, right, words) in zip(suspects, encoded, strict=True):
    if not np.array_equal(np.concatenate([left, right]), words):
      result[border.owner] = True
  return result


class _Border(NamedTuple):
  """A border between two pieces of an example.

  Attributes:
    owner: the number of the example.
    text: the words around the border, whether they are special, and whether
      they continue a text.
    size: the number of characters before the border.
    continues: whether the words after it continue a text.
    left: the ids of the piece before the border.
    right: the ids of the piece after it.
  """

  owner: int
  text: tuple[str, bool, bool]
  size: int
  continues: bool
  left: np.ndarray
  right: np.ndarray

  def pieces(self) -> list[joining.Piece]:
    """Returns the words before the border, after it, and both as one piece."""
    text, special, continues = self.text
    return [
        _piece(text[: self.size], special, continues),
        _piece(text[self.size :], special, self.continues),
        _piece(text, special, continues),
    ]


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
        before, after = _around(left.segment.text, right.segment.text)
        text = before + after, left.segment.special, left.continues
        yield _Border(owner, text, len(before), right.continues, *ids_around)


def _has(border: _Border, words: np.ndarray) -> bool:
  """Returns whether ids from both sides of a border are those of its words."""
  count, size, target = len(words), words.itemsize, words.tobytes()
  left = border.left[-count:].tobytes()
  around, middle = left + border.right[:count].tobytes(), len(left)
  begin = around.find(target, max(0, middle - len(target) + size))
  while 0 <= begin < middle and begin % size:  # It is not at an id.
    begin = around.find(target, begin + 1)
  return 0 <= begin < middle


def _touch(left: Segment, right: Segment) -> bool:
  """Returns whether a token could cross the border of two segments."""
  is_same_kind = left.special == right.special
  return bool(is_same_kind and not left.end and left.text and right.text)


def _around(left: str, right: str) -> tuple[str, str]:
  """Returns the words of two texts before and after their border."""
  after = _FIRST_WORDS.match(right)
  assert after is not None, "the pattern matches the empty text"
  return _last_words(left[_last_line(left) :]), after.group()


def _piece(text: str, special: bool, continues: bool) -> joining.Piece:
  """Returns words as a piece to encode."""
  return joining.Piece(Segment(text, False, special=special), continues)


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
