"""Shapes: a chat template's own text around the turns.

Each shape of a conversation, which is its roles, is rendered once with a mark
in place of every text: the text between the marks is the template's own.
"""

from collections.abc import Callable, Sequence
import re
from typing import NamedTuple

from zsgen.core import errors
from zsgen.data import suite
from zsgen.data.prompts import jinja

# Marks that replace texts: private characters that no template writes.
_MARK = "\ue000{}\ue001"
_MARKS = re.compile("\ue000(\\d+)\ue001")


class Shape(NamedTuple):
  """The template's own text for conversations of the same roles."""

  # The n + 1 texts before, between and after the texts of n turns.
  frame: list[str]
  # For each turn, the beginning of the text after it that has the loss; ""
  # except after answers.
  ends: list[str]


def find(
    roles: tuple[str, ...], render: Callable[..., str], special: re.Pattern[str]
) -> Shape:
  """Finds the template's own text, which must not change as the chat continues.

  Args:
    roles: the roles of the turns.
    render: the result of `jinja.renderer`.
    special: matches special tokens; the first one after an answer is its end.

  Raises:
    InputError: the template refuses the roles, does not render each turn once
      and in order, or renders the first turns differently than on their own, so
      that answers are not what the model would generate.
  """
  frame = _between(roles, render)
  ends = [""] * len(roles)
  for turn, role in enumerate(roles):
    if role == "assistant":
      prefix_frame = _between(roles[: turn + 1], render)
      ends[turn] = _end(prefix_frame, frame, special)
      _check_request(roles[:turn], frame, render)
  return Shape(frame, ends)


def texts(
    rendered: str, frame: Sequence[str], turns: Sequence[suite.Turn]
) -> list[str]:
  """Returns each turn's text as the template renders it: unchanged or stripped.

  Args:
    rendered: the rendered conversation.
    frame: the template's own text in it.
    turns: the turns of the conversation.

  Raises:
    InputError: the template changes the texts in other ways.
  """
  parts, turn_texts = [frame[0]], []
  position = len(frame[0])
  for turn, after in zip(turns, frame[1:], strict=True):
    for text in (turn.text, turn.text.strip()):
      if rendered.startswith(text + after, position):
        break
    turn_texts.append(text)
    parts.append(text + after)
    position += len(parts[-1])
  if "".join(parts) != rendered:
    raise errors.InputError(
        f"{jinja.SOURCE} changes the text of the turns, or the text"
        f" between them. {jinja.ADVICE}"
    )
  return turn_texts


def _marked(roles: Sequence[str]) -> list[suite.Turn]:
  """Returns turns whose only text is their number."""
  return [suite.Turn(role, _MARK.format(i)) for i, role in enumerate(roles)]


def _between(roles: tuple[str, ...], render: Callable[..., str]) -> list[str]:
  """Returns the template's own text before, between and after the turns."""
  rendered = render(_marked(roles))
  if _MARKS.findall(rendered) != [str(i) for i in range(len(roles))]:
    raise errors.InputError(
        f"{jinja.SOURCE} leaves out, repeats or moves turns of the roles"
        f" {', '.join(roles)}. {jinja.ADVICE}"
    )
  return _MARKS.split(rendered)[::2]


def _end(
    prefix_frame: Sequence[str], frame: Sequence[str], special: re.Pattern[str]
) -> str:
  """Returns the text with loss after the last turn of `prefix_frame`."""
  turns = len(prefix_frame) - 1
  end, inside = (
      _to_special(texts[turns], special) for texts in (prefix_frame, frame)
  )
  if prefix_frame[:-1] != frame[:turns] or (end and end != inside):
    raise errors.InputError(
        f"{jinja.SOURCE} renders the first {turns} turns of"
        f" {len(frame) - 1} differently than on their own. {jinja.ADVICE}"
    )
  return end


def _to_special(text: str, special: re.Pattern[str]) -> str:
  """Returns the text up to its first special token, or nothing."""
  match = special.search(text)
  return text[: match.end()] if match else ""


def _check_request(
    roles: tuple[str, ...], frame: Sequence[str], render: Callable[..., str]
) -> None:
  """Raises InputError if a generation prompt differs from the text before
  answers.
  """
  marked = _marked(roles)
  before = frame[0] + "".join(
      turn.text + after for turn, after in zip(marked, frame[1:], strict=False)
  )
  if roles and not before.startswith(render(marked, add_prompt=True)):
    raise errors.InputError(
        f"{jinja.SOURCE} requests an answer (add_generation_prompt) with"
        f" another text than it puts before one. {jinja.ADVICE}"
    )
