"""Joins segments into one text, for tokenizers that add a leading space.

See `zsgen.data.tokenizers.continued`. The ids of an example are those of its joined
text except at the borders of the loss: text that follows other text gets no
leading space, and neighbours of the same kind become one segment. A space before
an answer is moved into the answer, so that its first word has the token of a word
in a sentence ("▁sea"), as in the joined text.
"""

from collections.abc import Sequence
import itertools
from typing import NamedTuple

from zsgen.data import tokenizers
from zsgen.data.prompts.segment import Segment


class Piece(NamedTuple):
  """A segment to encode, and whether it continues the text before it."""

  segment: Segment
  continues: bool


def join(
    segments: Sequence[Segment],
    tokenizer: tokenizers.Tokenizer,
) -> list[Piece]:
  """Returns the segments of an example as parts of its joined text.

  Args:
    segments: the segments of one example.
    tokenizer: a tokenizer whose `continued` is not None.
  """
  rule = tokenizer.continued
  assert rule is not None, "only texts that continue are joined"
  names = tuple(tokenizer.special_ids)
  pieces = []
  # The previous text; None at the beginning, "" after a special token.
  before = "" if segments and segments[0].after_special else None
  for segment in _moved(_merged(segments), rule.trailing, names):
    text = segment.text
    if not text:
      continues = False
    elif before is None:
      continues = False
    elif before == "":
      continues = not rule.after_special
    else:
      continues = (
          before[-1] not in rule.trailing and text[0] not in rule.leading
      )
    pieces.append(Piece(segment, continues))
    if segment.end or (segment.special and names and text.endswith(names)):
      before = ""
    elif text:
      before = text
  return pieces


def _merged(
    segments: Sequence[Segment],
) -> list[Segment]:
  """Merges neighbours that differ only in their text."""
  merged = []
  for segment in segments:
    last = merged[-1] if merged else None
    if (
        last
        and not last.end
        and (last.loss, last.special) == (segment.loss, segment.special)
    ):
      text = last.text + segment.text
      merged[-1] = last._replace(text=text, end=segment.end)
    else:
      merged.append(segment)
  return merged


def _moved(
    segments: Sequence[Segment],
    trailing: frozenset[str],
    names: tuple[str, ...],
) -> list[Segment]:
  """Moves a space before an answer into the answer."""
  moved = list(segments)
  for i, (request, answer) in enumerate(itertools.pairwise(moved)):
    if (
        answer.loss
        and answer.text
        and not (request.loss or request.end)
        and request.text.endswith(" ")
        and " " not in trailing
        # Do not split a token of several spaces.
        and not request.text.endswith("  ")
    ):
      moved[i] = request._replace(text=request.text[:-1])
      moved[i + 1] = answer._replace(text=f" {answer.text}")
  return moved
