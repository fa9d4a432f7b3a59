"""Shapes: what a chat template itself says around the turns.

Each shape of conversation, its roles, is rendered once with a mark in place of
every text: what stands between the marks is the template's own.
"""

from collections.abc import Callable, Sequence
import re
from typing import NamedTuple

from zsgen.core import errors
from zsgen.data import suite
from zsgen.data.prompts import jinja

# In place of texts: private characters that no template writes.
_MARK = "\ue000{}\ue001"
_MARKS = re.compile("\ue000(\\d+)\ue001")


class Shape(NamedTuple):
  """The template's own text for conversations of the same roles."""

  # Before, between and after the texts of n turns: n + 1.
  own: list[str]
  # Of each turn: what `own` begins with after it that has the loss; "" after
  # all but answers.
  ends: list[str]


def find(
    roles: tuple[str, ...], render: Callable[..., str], special: re.Pattern[str]
) -> Shape:
  """The template's own text, which must not change as the talk goes on.

  Args:
    roles: of the turns.
    render: what `jinja.renderer` gives.
    special: finds special tokens; the first after an answer is its end token.

  Raises:
    InputError: the template refuses the roles, does not show each turn once
      and in its place, or shows the first turns otherwise than alone: then
      answers are not as the model would say them.
  """
  own = _between(roles, render)
  ends = [""] * len(roles)
  for turn, role in enumerate(roles):
    if role == "assistant":
      alone = _between(roles[: turn + 1], render)
      ends[turn] = _end(alone, own, special)
      _check_request(roles[:turn], own, render)
  return Shape(own, ends)


def texts(
    rendered: str, own: Sequence[str], turns: Sequence[suite.Turn]
) -> list[str]:
  """Each turn's text as the template shows it: as it is, or stripped.

  Args:
    rendered: the conversation.
    own: the template's own text in it.
    turns: the conversation's.

  Raises:
    InputError: they are shown in another way.
  """
  shown, found = [own[0]], []
  place = len(own[0])
  for turn, after in zip(turns, own[1:], strict=True):
    for text in (turn.text, turn.text.strip()):
      if rendered.startswith(text + after, place):
        break
    found.append(text)
    shown.append(text + after)
    place += len(shown[-1])
  if "".join(shown) != rendered:
    raise errors.InputError(
        f"{jinja.WHERE} changes what is said in the turns, or what stands"
        f" between them. {jinja.ELSE}"
    )
  return found


def _marked(roles: Sequence[str]) -> list[suite.Turn]:
  """Turns that say nothing but their number."""
  return [suite.Turn(role, _MARK.format(i)) for i, role in enumerate(roles)]


def _between(roles: tuple[str, ...], render: Callable[..., str]) -> list[str]:
  """The template's own text before, between and after the turns."""
  rendered = render(_marked(roles))
  if _MARKS.findall(rendered) != [str(i) for i in range(len(roles))]:
    raise errors.InputError(
        f"{jinja.WHERE} leaves out, repeats or moves turns of the roles"
        f" {', '.join(roles)}. {jinja.ELSE}"
    )
  return _MARKS.split(rendered)[::2]


def _end(
    alone: Sequence[str], own: Sequence[str], special: re.Pattern[str]
) -> str:
  """What the loss falls on after the last turn of `alone`."""
  turns = len(alone) - 1
  end, inside = (_to_special(each[turns], special) for each in (alone, own))
  if alone[:-1] != own[:turns] or (end and end != inside):
    raise errors.InputError(
        f"{jinja.WHERE} shows the first {turns} turns of {len(own) - 1}"
        f" otherwise than alone. {jinja.ELSE}"
    )
  return end


def _to_special(text: str, special: re.Pattern[str]) -> str:
  """The text up to its first special token, or nothing."""
  found = special.search(text)
  return text[: found.end()] if found else ""


def _check_request(
    roles: tuple[str, ...], own: Sequence[str], render: Callable[..., str]
) -> None:
  """What asks for an answer must be what stands before answers."""
  marked = _marked(roles)
  before = own[0] + "".join(
      turn.text + after for turn, after in zip(marked, own[1:], strict=False)
  )
  if roles and not before.startswith(render(marked, asking=True)):
    raise errors.InputError(
        f"{jinja.WHERE} asks for an answer (add_generation_prompt) by other"
        f" text than it puts before one. {jinja.ELSE}"
    )
