"""The chat template that a Hugging Face tokenizer carries.

A conversation is rendered as transformers renders it, and its shape
(`chat_shapes`) tells whose text is whose. The loss falls on answers, on the
end token that the template puts after each, and on what stands between.

Special tokens are recognised in the template's own text only. A stretch of
text is tokenized in one go, so that ids are transformers' but for the borders
of the loss; where data spells a special token, the stretch is split, and the
data's part is plain text.
"""

from collections.abc import Sequence
import re

import numpy as np

from zsgen.core import errors
from zsgen.data import suite, tokenizers
from zsgen.data.prompts import chat_shapes, jinja, segments

# Conversations that templates are made for.
_PROBED = (
    ("user", "assistant"),
    ("system", "user", "assistant"),
    ("user", "assistant", "user", "assistant"),
)


class ChatTemplate:
  """Segments of a conversation by a tokenizer's chat template.

  The template's end token is the first special token after an answer. Where
  there is none, the tokenizer's end token follows the answer. The template's
  BOS at the very start is left out: `segments.encode` writes it.

  Args:
    tokenizer: `chat_template` is Jinja, `special_tokens` has the texts that
      the template knows by name, `special_ids` has all special texts' ids.

  Raises:
    InputError: no chat template, a broken one, or no Jinja installed.
  """

  def __init__(self, tokenizer: tokenizers.Tokenizer):
    source = tokenizer.chat_template
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
    bos = tokenizer.bos_id
    self._bos = "" if bos is None else names.get(bos, "")
    self._shapes: dict[tuple[str, ...], chat_shapes.Shape] = {}

  @property
  def ends(self) -> list[int]:
    """Ids of the end tokens that the template puts after last answers."""
    found = []
    for roles in _PROBED:
      try:
        shape = chat_shapes.find(roles, self._render, self._special)
      except errors.InputError:
        continue  # No conversation of such roles can be in a store.
      found += self._special.findall(shape.ends[-1])
    return [self._tokenizer.special_ids[each] for each in found]

  def __call__(self, turns: Sequence[suite.Turn]) -> list[segments.Segment]:
    """The segments of a conversation.

    Raises:
      InputError: the template refuses the turns, changes their text beyond
        stripping it, or shows a conversation's beginning otherwise than alone.
    """
    roles = tuple(turn.role for turn in turns)
    if roles not in self._shapes:
      self._shapes[roles] = chat_shapes.find(roles, self._render, self._special)
    own, ends = self._shapes[roles]
    texts = chat_shapes.texts(self._render(turns), own, turns)
    said = []
    begin = own[0].removeprefix(self._bos)
    run = [segments.Segment(begin, False, special=True)]
    for turn, text, after, end in zip(turns, texts, own[1:], ends, strict=True):
      loss = turn.role == "assistant"
      if loss:
        said += self._joined(run)
        answer = segments.Segment(text, turn.is_trained, end=not end)
        said += self._joined(
            [answer, segments.Segment(end, turn.is_trained, special=True)]
        )
        run = []
      else:
        run.append(segments.Segment(text, False))
      rest = after.removeprefix(end)
      run.append(segments.Segment(rest, False, special=True))
    said += self._joined(run)
    if said and begin != own[0]:
      said[0] = said[0]._replace(after_special=True)
    return said

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
