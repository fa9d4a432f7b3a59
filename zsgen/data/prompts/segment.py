"""Segments: the pieces of text of an example."""

from typing import NamedTuple


class Segment(NamedTuple):
  """A piece of text that is tokenized on its own."""

  text: str
  # Whether the loss covers it.
  loss: bool
  # Whether the tokenizer's end token follows, with the same loss.
  end: bool = False
  # Whether to recognise special tokens: the text is a template's, not data.
  special: bool = False
  # Whether a special token that is not in a segment precedes it: the template's
  # BOS, which `encode` writes.
  after_special: bool = False
