"""Segments: the pieces of text that an example is made of."""

from typing import NamedTuple


class Segment(NamedTuple):
  """A piece of text that is tokenized on its own."""

  text: str
  # The model is to learn to say it.
  loss: bool
  # The tokenizer's end token follows, with the same loss.
  end: bool = False
  # Special tokens in the text are meant: written by a template, not by data.
  special: bool = False
  # A special token that is not in any segment stands before: the template's
  # own BOS, which `encode` writes.
  after_special: bool = False
