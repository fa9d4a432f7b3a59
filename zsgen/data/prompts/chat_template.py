"""The chat template that a Hugging Face tokenizer carries.

A conversation is rendered as transformers renders it. To know whose text is
whose, each shape of conversation (its roles) is rendered once with a mark in
place of every text: what stands between the marks is the template's own. Of
that, the loss falls on the end token that follows an answer, and on whatever
stands before it.

Special tokens are recognised in the template's own text only. A stretch of
text is tokenized in one go, so that ids are transformers' but for the borders
of the loss; where data spells a special token, the stretch is split, and the
data's part is plain text.
"""

from collections.abc import Sequence
import re
from typing import NamedTuple

import numpy as np

from zsgen import errors
from zsgen.data import suite, tokenizers
from zsgen.data.prompts import jinja, segments

# In place of texts: private characters that no template writes.
_MARK = "\ue000{}\ue001"
_MARKS = re.compile("\ue000(\\d+)\ue001")


class _Shape(NamedTuple):
  """The template's own text for conversations of the same roles."""

  # Before, between and after the texts of n turns: n + 1.
  own: list[str]
  # Of each turn: what `own` begins with after it that has the loss.
  ends: list[str]


class ChatTemplate:
  """Segments of a conversation by a tokenizer's chat template.

  The template's end token is the first special token after an answer. Where
  there is none, the tokenizer's end token follows the answer. The template's
  BOS at the very start is left out: `segments.encode` writes it. Dates are not
  told to templates (`strftime_now`), so that tokens do not depend on the day.

  Args:
    tokenizer: `chat_template` is Jinja, `special_tokens` has the texts that
      the template knows by name, `special_ids` has all special texts' ids.

  Raises:
    InputError: no chat template, a broken one, or no Jinja installed.
  """

  def __init__(self, tokenizer: tokenizers.Tokenizer):
    source = getattr(tokenizer, "chat_template", None)
    if not source:
      raise errors.InputError(
          "config.data.template='tokenizer': the tokenizer has no chat"
          f" template. {jinja.ELSE}"
      )
    self._tokenizer = tokenizer
    # Of two that begin alike, the longer one is meant.
    texts = sorted(tokenizer.special_ids, key=len, reverse=True)
    self._special = re.compile("|".join(map(re.escape, texts)) or r"(?!)")
    self._render = jinja.renderer(source, tokenizer.special_tokens)
    # Any text may have what the vocabulary does not know.
    unknown = tokenizer.special_tokens.get("unk_token")
    self._meaningful = [
        i
        for text, i in tokenizer.special_ids.items()
        if text != unknown or i == tokenizer.eos_id
    ]
    # What `segments.encode` writes itself.
    names = {i: text for text, i in tokenizer.special_ids.items()}
    self._bos = names.get(tokenizer.bos_id, "")
    self._shapes: dict[tuple[str, ...], _Shape] = {}

  def __call__(self, turns: Sequence[suite.Turn]) -> list[segments.Segment]:
    """The segments of a conversation.

    Raises:
      InputError: the template refuses the turns, changes their text beyond
        stripping it, or shows a conversation's beginning otherwise than alone.
    """
    roles = tuple(turn.role for turn in turns)
    if roles not in self._shapes:
      self._shapes[roles] = self._shape(roles)
    own, ends = self._shapes[roles]
    texts = _found(self._render(turns), own, turns)
    said = []
    run = [
        segments.Segment(own[0].removeprefix(self._bos), False, special=True)
    ]
    for turn, text, after, end in zip(turns, texts, own[1:], ends, strict=True):
      loss = turn.role == "assistant"
      if loss:
        said += self._joined(run)
        answer = segments.Segment(text, True, end=not end)
        said += self._joined(
            [answer, segments.Segment(end, True, special=True)]
        )
        run = []
      else:
        run.append(segments.Segment(text, False))
      rest = after.removeprefix(end)
      run.append(segments.Segment(rest, False, special=True))
    return said + self._joined(run)

  def _joined(self, run: Sequence[segments.Segment]) -> list[segments.Segment]:
    """One segment, unless data would make special tokens in it."""
    text = "".join(each.text for each in run)
    meant = [
        name
        for each in run
        if each.special
        for name in self._special.findall(each.text)
    ]
    if not self._makes(text, meant):
      return [each for each in run if each.text or each.end]
    end = any(each.end for each in run)
    whole = segments.Segment(text, run[0].loss, end, special=True)
    return [whole] if text or end else []

  def _makes(self, text: str, meant: Sequence[str]) -> bool:
    """Whether the special tokens that a text makes are those meant."""
    if self._special.findall(text) != meant:
      return False
    if text.isascii() and text.replace("\n", "").isprintable():
      return True
    # A normalizer may make one of characters that are wide or not seen.
    (ids,) = self._tokenizer.encode_special([text])
    return int(np.isin(ids, self._meaningful).sum()) == len(meant)

  def _shape(self, roles: tuple[str, ...]) -> _Shape:
    """Finds the template's own text, and that it does not change midway."""
    own = self._between(roles)
    ends = [""] * len(roles)
    for turn, role in enumerate(roles):
      if role == "assistant":
        ends[turn] = self._end(roles[: turn + 1], own)
        self._check_request(roles[:turn], own)
    return _Shape(own, ends)

  def _between(self, roles: tuple[str, ...]) -> list[str]:
    """The template's own text between the turns."""
    rendered = self._render(_marked(roles))
    if _MARKS.findall(rendered) != [str(i) for i in range(len(roles))]:
      raise errors.InputError(
          f"{jinja.WHERE} leaves out, repeats or moves turns of the roles"
          f" {', '.join(roles)}. {jinja.ELSE}"
      )
    return _MARKS.split(rendered)[::2]

  def _check_request(self, roles: tuple[str, ...], own: list[str]) -> None:
    """What asks for an answer must be what stands before answers."""
    before = "".join(
        part + turn.text
        for part, turn in zip(own, _marked(roles), strict=False)
    )
    if roles and not (before + own[len(roles)]).startswith(
        self._render(_marked(roles), asking=True)
    ):
      raise errors.InputError(
          f"{jinja.WHERE} asks for an answer (add_generation_prompt) by other text"
          f" than it puts before one. {jinja.ELSE}"
      )

  def _end(self, roles: tuple[str, ...], own: list[str]) -> str:
    """What the loss falls on after the last of these turns."""
    alone = self._between(roles)
    ends = [self._to_special(each[len(roles)]) for each in (alone, own)]
    if alone[:-1] != own[: len(roles)] or (ends[0] and ends[0] != ends[1]):
      raise errors.InputError(
          f"{jinja.WHERE} shows the first {len(roles)} turns of {len(own) - 1}"
          f" otherwise than alone, so that answers inside a conversation are"
          f" not as the model would say them. {jinja.ELSE}"
      )
    return ends[0]

  def _to_special(self, text: str) -> str:
    """The text up to its first special token, or nothing."""
    found = self._special.search(text)
    return text[: found.end()] if found else ""


def _marked(roles: Sequence[str]) -> list[suite.Turn]:
  """Turns that say nothing but their number."""
  return [suite.Turn(role, _MARK.format(i)) for i, role in enumerate(roles)]


def _found(
    rendered: str, own: Sequence[str], turns: Sequence[suite.Turn]
) -> list[str]:
  """Each turn's text as the template shows it: as it is, or stripped."""
  found, shown = [], own[0]
  for turn, after in zip(turns, own[1:], strict=True):
    for text in (turn.text, turn.text.strip()):
      if rendered.startswith(shown + text + after):
        break
    found.append(text)
    shown += text + after
  if shown != rendered:
    raise errors.InputError(
        f"{jinja.WHERE} changes what is said in the turns, or what stands"
        f" between them. {jinja.ELSE}"
    )
  return found
