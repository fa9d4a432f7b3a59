"""Templates: how an example becomes prompt and answer.

A template gives segments; each is tokenized on its own, so that the border
between prompt and answer is a token border (2406.11721, released code). Loss
falls on the segments that the model is to say, and on one end token after
each.
"""

from collections.abc import Callable
from typing import NamedTuple

from zsgen import errors
from zsgen.data import suite


class Segment(NamedTuple):
  """A piece of text; `loss` if the model is to learn to say it."""

  text: str
  loss: bool


Template = Callable[[suite.Example], list[Segment]]


def plain(example: suite.Example) -> list[Segment]:
  """Definition, `Input:` and `Output:` lines, then the first answer.

  An example without definition and input is plain text: answer only.
  """
  if not example.definition and not example.input:
    return [Segment(example.targets[0], loss=True)]
  lines = [example.definition] if example.definition else []
  lines += [f"Input: {example.input}", "Output: "]
  return [
      Segment("\n".join(lines), loss=False),
      Segment(example.targets[0], loss=True),
  ]


TEMPLATES: dict[str, Template] = {"plain": plain}


def get(name: str) -> Template:
  """The template that `config.data.template` names."""
  return errors.choose(TEMPLATES, name, "config.data.template")
