"""Joins the segments of an example into one text (`config.data.border="answer"`).

Language models learn the tokens of running text, in which a space belongs to
the word that follows it: `say:` and `▁sea`, not `say:▁` and `sea`. So white
space before an answer is moved into the answer, and neighbours of the same kind
become one segment. The ids of an example are then those of its joined text
wherever no token of that text crosses the border of the loss (`borders` counts
the others). A line break stays before the answer: tokenizers join it to what
precedes it, and chat templates end prompts with it.

For tokenizers that begin a text with a space
(`zsgen.data.tokenizers.continued`), text that follows other text gets none.
"""

from collections.abc import Sequence
import itertools
from typing import NamedTuple

from zsgen.data import tokenizers
from zsgen.data.prompts.segment import Segment
from zsgen.data.tokenizers import continued

# All white space but line breaks; U+3000 is the last.
_SPACE = "".join(
    character
    for character in map(chr, range(0x3001))
    if character.isspace() and character not in "\r\n"
)


class Piece(NamedTuple):
  """A segment to encode, and whether it continues the text before it."""

  segment: Segment
  continues: bool


def split(
    segments: Sequence[Segment], tokenizer: tokenizers.Tokenizer, border: str
) -> list[Piece]:
  """Returns the pieces of an example that are tokenized one by one.

  Args:
    segments: the segments of one example.
    tokenizer: the tokenizer.
    border: `config.data.border`. "released": every segment is a text of its
      own, which may begin with the tokenizer's space.
  """
  if border == "released":
    return [Piece(segment, False) for segment in segments]
  return join(segments, tokenizer)


def join(
    segments: Sequence[Segment], tokenizer: tokenizers.Tokenizer
) -> list[Piece]:
  """Returns the segments of an example as parts of its joined text."""
  rule = tokenizer.continued
  if rule is None:
    moved = _moved(_merged(segments))
    return [Piece(segment, False) for segment in moved]
  return _continued(segments, rule, tuple(tokenizer.special_ids))


def _continued(
    segments: Sequence[Segment],
    rule: continued.Continued,
    names: tuple[str, ...],
) -> list[Piece]:
  """Returns the pieces for a tokenizer that begins a text with a space.

  Args:
    segments: the segments of one example.
    rule: how text that follows other text is encoded.
    names: the texts of special tokens.
  """
  merged = _merged(segments)
  # A tokenizer that drops a space at the end begins the next text with one.
  moved = merged if " " in rule.trailing else _moved(merged)
  pieces = []
  # The previous text; None at the beginning, "" after a special token.
  before = "" if segments and segments[0].after_special else None
  for segment in moved:
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


def _moved(segments: Sequence[Segment]) -> list[Segment]:
  """Moves white space before an answer, except line breaks, into the answer.

  A request of white space only keeps it: without BOS, nothing would predict the
  answer's first token.
  """
  moved = list(segments)
  for i, (request, answer) in enumerate(itertools.pairwise(segments)):
    if request.loss or request.end or not (answer.loss and answer.text):
      continue
    text = request.text.rstrip(_SPACE)
    if not text or text == request.text:
      continue
    # A third of the time of `_replace`.
    moved[i] = Segment(text, *request[1:])
    space = request.text[len(text) :]
    moved[i + 1] = Segment(space + answer.text, *answer[1:])
  return moved
