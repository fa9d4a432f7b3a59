"""Prompts: how an example becomes segments, and segments tokens.

An example is a conversation, or its request (`config.data.prompt`) and its
answer (`config.data.label`) are one of two turns. A template
(`config.data.template`) makes segments of the turns, and `encode` tokens of
the segments.
"""

import collections

from zsgen.core import config, errors, registry
from zsgen.data import suite, tokenizers
from zsgen.data.prompts import chat_template, jinja, labels, templates
from zsgen.data.prompts.segments import Encoded, Segment, encode
from zsgen.data.sources import heldout, options

__all__ = [
    "Encoded",
    "Prompts",
    "Segment",
    "encode",
    "ends",
    "get",
    "versions",
]


class Prompts:
  """Turns examples into segments, as the config says.

  `counts` tells what the request left out; see `niv2.Niv2`.
  """

  def __init__(
      self, data: config.Data, tokenizer: tokenizers.Tokenizer, seed: int
  ):
    self.counts = collections.Counter()
    label = errors.choose(labels.LABELS, data.label, "config.data.label")
    self._label = label(seed, heldout.seeds(options.heldout(data)))
    prompt = registry.component("prompt", data.prompt, "config.data.prompt")
    self._request = prompt.build(data, tokenizer, self.counts)
    self._template = templates.build(data.template, tokenizer)

  def __call__(self, example: suite.Example) -> list[Segment]:
    """The segments of an example; none if it has no answer.

    A conversation's turns are taken as they are. An example without definition
    and input is plain text: answer only.

    Raises:
      InputError: turns that the template cannot show.
    """
    if example.turns:
      return self._shown(example, example.turns)
    if not example.targets:
      return []
    answer = self._label(example)
    if not example.definition and not example.input:
      return [Segment(answer, loss=True, end=True)]
    turns = (
        suite.Turn("user", self._request(example)),
        suite.Turn("assistant", answer),
    )
    return self._shown(example, turns)

  def _shown(
      self, example: suite.Example, turns: tuple[suite.Turn, ...]
  ) -> list[Segment]:
    """The template's segments; errors say which example it was."""
    try:
      return self._template(turns)
    except errors.InputError as error:
      raise errors.InputError(
          f"task {example.task}, example {example.key}: {error}"
      ) from error


def versions(
    data: config.Data, tokenizer: tokenizers.Tokenizer
) -> dict[str, int]:
  """Returns what enters a store's name because its ids are not as they were.

  {} where they are: byte-level tokenizers, and chat templates without what
  older versions rendered otherwise than transformers.
  """
  found = {}
  if tokenizer.continued is not None:
    found["continued"] = tokenizers.continued.VERSION
  template = tokenizer.chat_template if data.template == "tokenizer" else None
  if template and jinja.is_changed(template):
    found["template_environment"] = jinja.VERSION
  return found


def ends(template: str, tokenizer: tokenizers.Tokenizer) -> tuple[int, ...]:
  """Ids that end an answer, ascending: the tokenizer's, and the template's.

  They follow from the two alone, never from rows, which may have been cut.

  Args:
    template: `config.data.template`.
    tokenizer: has the end token, and may have a chat template.
  """
  made = templates.build(template, tokenizer)
  own = made.ends if isinstance(made, chat_template.ChatTemplate) else ()
  return tuple(sorted({tokenizer.eos_id, *own}))


def get(
    data: config.Data, tokenizer: tokenizers.Tokenizer, seed: int
) -> Prompts:
  """What `config.data.prompt`, `label` and `template` name.

  Args:
    data: the config's section.
    tokenizer: says what fits into a prompt, and may have a chat template.
    seed: draws labels.

  Raises:
    InputError: a tokenizer without a chat template where that is asked for.
  """
  return Prompts(data, tokenizer, seed)
