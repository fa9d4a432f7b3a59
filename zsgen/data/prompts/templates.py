"""Templates: how the turns of a conversation become segments.

Segments are tokenized separately, so that the border between request and answer
is a token border (2406.11721, spec of section 3.1). The loss covers every
assistant turn that is trained on, and the end token after it, and nothing else.
"""

from collections.abc import Callable, Sequence

from zsgen.core import errors, registry
from zsgen.data import suite, tokenizers
from zsgen.data.prompts import segments

Template = Callable[[Sequence[suite.Turn]], list[segments.Segment]]

_SPEAKERS = {"system": "System", "user": "User", "assistant": "Assistant"}


def plain(turns: Sequence[suite.Turn]) -> list[segments.Segment]:
  """Returns requests and answers, without additional words.

  A request that does not end in white space gets a line break, to separate it
  from its answer. In conversations, a blank line follows a system turn, and a
  turn after an answer begins on a new line.
  """
  result, is_after_answer = [], False
  for turn in turns:
    if turn.role == "assistant":
      result.append(segments.Segment(turn.text, turn.is_trained, end=True))
      is_after_answer = True
      continue
    text = turn.text if turn.text[-1:].isspace() else f"{turn.text}\n"
    if turn.role == "system":
      text = f"{turn.text}\n\n"
    start = "\n" if is_after_answer else ""
    result.append(segments.Segment(start + text, loss=False))
    is_after_answer = False
  return result


def chat(turns: Sequence[suite.Turn]) -> list[segments.Segment]:
  """Returns `User: …`, `Assistant: ` and the answer, on separate lines
  (2406.11721).

  The paper has no system turns; here they become a line `System: …`.
  """
  result = []
  for turn in turns:
    speaker = errors.choose(_SPEAKERS, turn.role, "a turn's role")
    start = ("\n" if result else "") + f"{speaker}: "
    if turn.role == "assistant":
      result.append(segments.Segment(start, loss=False))
      result.append(segments.Segment(turn.text, turn.is_trained, end=True))
    else:
      result.append(segments.Segment(start + turn.text, loss=False))
  return result


@registry.template("plain")
def build_plain(tokenizer: tokenizers.Tokenizer) -> Template:
  """Returns `plain`, which needs no tokenizer."""
  del tokenizer
  return plain


@registry.template("chat")
def build_chat(tokenizer: tokenizers.Tokenizer) -> Template:
  """Returns `chat`, which needs no tokenizer."""
  del tokenizer
  return chat


def build(name: str, tokenizer: tokenizers.Tokenizer) -> Template:
  """Returns a template by its name.

  Args:
    name: `config.data.template`.
    tokenizer: it may have a chat template.
  """
  component = registry.component("template", name, "config.data.template")
  return component.build(tokenizer)
