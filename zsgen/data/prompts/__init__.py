"""Prompts turn an example into segments, and segments into tokens.

An example is a conversation, or its request (`config.data.prompt`) and its
answer (`config.data.label`) become a conversation of two turns. A template
(`config.data.template`) turns it into segments, and `encode` segments into
tokens.
"""

import collections

from zsgen.core import config, errors, registry
from zsgen.data import suite, tokenizers
from zsgen.data.prompts import chat_template, jinja, labels, templates
from zsgen.data.prompts.borders import differ
from zsgen.data.prompts.joining import split
from zsgen.data.prompts.segments import (
    Encoded,
    Segment,
    encode,
    encode_pieces,
    join_pieces,
)
from zsgen.data.sources import heldout, options

__all__ = [
    "Encoded",
    "Prompts",
    "Segment",
    "differ",
    "encode",
    "encode_pieces",
    "ends",
    "get",
    "join_pieces",
    "split",
    "versions",
]


class Prompts:
  """Turns examples into segments, as configured.

  `counts` counts what the request leaves out; see `niv2.Niv2`.
  """

  def __init__(
      self, data: config.Data, tokenizer: tokenizers.Tokenizer, seed: int
  ):
    self.counts = collections.Counter()
    label = errors.choose(labels.LABELS, data.label, "config.data.label")
    own_seeds = heldout.seeds(options.heldout(data))
    self._label = label((seed, options.heldout_seed(data, seed), own_seeds))
    prompt = registry.component("prompt", data.prompt, "config.data.prompt")
    self._request = prompt.build(data, tokenizer, self.counts)
    self._template = templates.build(data.template, tokenizer)

  def __call__(self, example: suite.Example) -> list[Segment]:
    """Returns the segments of an example; none if it has no answer.

    Raises:
      InputError: the template cannot render the turns.
    """
    return self.apply_template(example, self.turns(example))

  def turns(self, example: suite.Example) -> tuple[suite.Turn, ...]:
    """Returns an example as a conversation; () if it has no answer.

    The turns of a conversation are unchanged. An example without definition and
    input is plain text: only an answer.
    """
    if example.turns or not example.targets:
      return example.turns
    answer = suite.Turn("assistant", self._label(example))
    if not example.definition and not example.input:
      return (answer,)
    return suite.Turn("user", self._request(example)), answer

  def apply_template(
      self, example: suite.Example, turns: tuple[suite.Turn, ...]
  ) -> list[Segment]:
    """Returns the segments of an example's `turns`.

    Raises:
      InputError: the template cannot render them; the message names the
        example.
    """
    if not turns:
      return []
    if len(turns) == 1 and not example.turns:
      return [Segment(turns[0].text, loss=True, end=True)]
    try:
      return self._template(turns)
    except errors.InputError as error:
      raise errors.InputError(
          f"task {example.task}, example {example.key}: {error}"
      ) from error


def versions(
    data: config.Data, tokenizer: tokenizers.Tokenizer
) -> dict[str, int]:
  """Returns versions that are part of a store's name because its ids changed.

  It is {} if they did not change: for byte-level tokenizers, and for chat
  templates that older versions rendered like transformers.
  """
  versions_by_name = {}
  if tokenizer.continued is not None:
    versions_by_name["continued"] = tokenizers.continued.VERSION
  template = tokenizer.chat_template if data.template == "tokenizer" else None
  if template and jinja.is_changed(template):
    versions_by_name["template_environment"] = jinja.VERSION
  return versions_by_name


def ends(template: str, tokenizer: tokenizers.Tokenizer) -> tuple[int, ...]:
  """Returns the ids that end an answer, ascending.

  They are the tokenizer's and the template's. They never depend on rows, which
  may have been cut.

  Args:
    template: `config.data.template`.
    tokenizer: the tokenizer, which may have a chat template.
  """
  instance = templates.build(template, tokenizer)
  template_ends = (
      instance.ends if isinstance(instance, chat_template.ChatTemplate) else ()
  )
  return tuple(sorted({tokenizer.eos_id, *template_ends}))


def get(
    data: config.Data, tokenizer: tokenizers.Tokenizer, seed: int
) -> Prompts:
  """Returns the prompts of `config.data.prompt`, `label` and `template`.

  Args:
    data: the config's section.
    tokenizer: determines what fits into a prompt, and may have a chat template.
    seed: the seed of the draws of labels.

  Raises:
    InputError: the tokenizer lacks the chat template that the config requests.
  """
  return Prompts(data, tokenizer, seed)
