"""Templates: how the turns of a conversation become segments.

Segments are tokenized each on its own, so that the border between request and
answer is a token border (2406.11721, spec of section 3.1). Every assistant
turn that is trained on has the loss, and one end token after it; nothing else
has.
"""

from collections.abc import Callable, Sequence

from zsgen.core import errors, registry
from zsgen.data import suite, tokenizers
from zsgen.data.prompts import segments

Template = Callable[[Sequence[suite.Turn]], list[segments.Segment]]

_SPEAKERS = {"system": "System", "user": "User", "assistant": "Assistant"}


def plain(turns: Sequence[suite.Turn]) -> list[segments.Segment]:
  """Requests and answers, with no word added.

  A request that does not end in white space gets a line break, so that it does
  not run into its answer. In conversations, a system turn is followed by a
  blank line, and what follows an answer begins on a new line.
  """
  said, answered = [], False
  for turn in turns:
    if turn.role == "assistant":
      said.append(segments.Segment(turn.text, turn.is_trained, end=True))
      answered = True
      continue
    text = turn.text if turn.text[-1:].isspace() else f"{turn.text}\n"
    if turn.role == "system":
      text = f"{turn.text}\n\n"
    start = "\n" if answered else ""
    said.append(segments.Segment(start + text, loss=False))
    answered = False
  return said


def chat(turns: Sequence[suite.Turn]) -> list[segments.Segment]:
  """`User: …`, `Assistant: ` and the answer, one a line (2406.11721).

  The paper has no system turns; here they are a line `System: …` of their own.
  """
  said = []
  for turn in turns:
    speaker = errors.choose(_SPEAKERS, turn.role, "a turn's role")
    start = ("\n" if said else "") + f"{speaker}: "
    if turn.role == "assistant":
      said.append(segments.Segment(start, loss=False))
      said.append(segments.Segment(turn.text, turn.is_trained, end=True))
    else:
      said.append(segments.Segment(start + turn.text, loss=False))
  return said


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
