"""The chat template of a Hugging Face tokenizer.

A conversation is rendered like in transformers, and its shape (`chat_shapes`)
separates the template's text from that of the turns. The loss covers answers,
the end token that the template puts after each, and the text between them.

Special tokens are recognised only in the template's own text. A run of text is
tokenized at once, so that ids are those of transformers except at the borders
of the loss. If data spells a special token, the run is split, and the part from
the data is plain text.
"""

from collections.abc import Sequence
import re

import numpy as np

from zsgen.core import errors, registry
from zsgen.data import suite, tokenizers
from zsgen.data.prompts import chat_shapes, jinja, segments

# Conversations that templates are written for.
_PROBED = (
    ("user", "assistant"),
    ("system", "user", "assistant"),
    ("user", "assistant", "user", "assistant"),
)


@registry.template("tokenizer")
class ChatTemplate:
  """Turns a conversation into segments by a tokenizer's chat template.

  The template's end token is the first special token after an answer. If there
  is none, the tokenizer's end token follows the answer. The template's BOS at
  the very start is left out, because `segments.encode` writes it.

  Args:
    tokenizer: a tokenizer whose `chat_template` is Jinja, `special_tokens` has
      the texts that the template refers to by name, and `special_ids` the ids
      of all special texts.

  Raises:
    InputError: the chat template is missing or broken, or Jinja is missing.
  """

  def __init__(self, tokenizer: tokenizers.Tokenizer):
    source = tokenizer.chat_template
    if not source:
      raise errors.InputError(
          "config.data.template='tokenizer': the tokenizer has no chat"
          f" template. {jinja.ADVICE}"
      )
    self._tokenizer = tokenizer
    # The longer one of two with the same beginning has priority.
    texts = sorted(tokenizer.special_ids, key=len, reverse=True)
    self._special = re.compile("|".join(map(re.escape, texts)) or r"(?!)")
    self._render = jinja.renderer(source, tokenizer.special_tokens)
    # Any text may have unknown characters.
    unknown = tokenizer.special_tokens.get("unk_token")
    self._meaningful = [
        i
        for text, i in tokenizer.special_ids.items()
        if text != unknown or i == tokenizer.eos_id
    ]
    # `segments.encode` writes BOS itself.
    names = {i: text for text, i in tokenizer.special_ids.items()}
    bos = tokenizer.bos_id
    self._bos = "" if bos is None else names.get(bos, "")
    self._shapes: dict[tuple[str, ...], chat_shapes.Shape] = {}

  @property
  def ends(self) -> list[int]:
    """The ids of the end tokens that the template puts after last answers."""
    names = []
    for roles in _PROBED:
      try:
        shape = chat_shapes.find(roles, self._render, self._special)
      except errors.InputError:
        continue  # A store cannot have conversations of these roles.
      names += self._special.findall(shape.ends[-1])
    return [self._tokenizer.special_ids[name] for name in names]

  def __call__(self, turns: Sequence[suite.Turn]) -> list[segments.Segment]:
    """Returns the segments of a conversation.

    Raises:
      InputError: the template refuses the turns, changes their text other than
        by stripping it, or renders the beginning of a conversation differently
        than on its own.
    """
    roles = tuple(turn.role for turn in turns)
    if roles not in self._shapes:
      self._shapes[roles] = chat_shapes.find(roles, self._render, self._special)
    frame, ends = self._shapes[roles]
    texts = chat_shapes.texts(self._render(turns), frame, turns)
    result = []
    begin = frame[0].removeprefix(self._bos)
    run = [segments.Segment(begin, False, special=True)]
    for turn, text, after, end in zip(
        turns, texts, frame[1:], ends, strict=True
    ):
      loss = turn.role == "assistant"
      if loss:
        result += self._joined(run)
        answer = segments.Segment(text, turn.is_trained, end=not end)
        result += self._joined(
            [answer, segments.Segment(end, turn.is_trained, special=True)]
        )
        run = []
      else:
        run.append(segments.Segment(text, False))
      rest = after.removeprefix(end)
      run.append(segments.Segment(rest, False, special=True))
    result += self._joined(run)
    if result and begin != frame[0]:
      result[0] = result[0]._replace(after_special=True)
    return result

  def without_loss(self, turns: Sequence[suite.Turn]) -> list[segments.Segment]:
    """Returns a conversation without borders of a loss, for a reader of it.

    Ids are those of transformers, unless data spells a special token, and no
    end token is added to the template's.

    Raises:
      InputError: the template refuses the turns; or a turn spells a special
        token, and `__call__` raises it.
    """
    rendered = self._render(turns)
    text = rendered.removeprefix(self._bos)
    names = self._special.findall(text)
    is_spelled = any(self._special.search(turn.text) for turn in turns)
    if not is_spelled and self._makes(text, names):
      after_special = text != rendered
      return [segments.Segment(text, False, False, True, after_special)]
    first, *rest = [
        segment._replace(loss=False, end=False) for segment in self(turns)
    ]
    run = self._joined([first, *rest])
    if run and first.after_special:
      run[0] = run[0]._replace(after_special=True)
    return run

  def _joined(self, run: Sequence[segments.Segment]) -> list[segments.Segment]:
    """Joins segments into one, unless data would make special tokens in it."""
    text = "".join(segment.text for segment in run)
    expected = [
        name
        for segment in run
        if segment.special
        for name in self._special.findall(segment.text)
    ]
    if not self._makes(text, expected):
      return [segment for segment in run if segment.text or segment.end]
    end = any(segment.end for segment in run)
    joined = segments.Segment(text, run[0].loss, end, special=True)
    return [joined] if text or end else []

  def _makes(self, text: str, expected: Sequence[str]) -> bool:
    """Returns whether a text makes exactly the expected special tokens."""
    if self._special.findall(text) != expected:
      return False
    if text.isascii() and text.replace("\n", "").isprintable():
      return True
    # A normalizer may turn wide or invisible characters into a special token.
    (ids,) = self._tokenizer.encode_special([text])
    return int(np.isin(ids, self._meaningful).sum()) == len(expected)
