"""Segments of an example, and the tokens that they become."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from zsgen.data import tokenizers


class Segment(NamedTuple):
  """A piece of text that is tokenized on its own."""

  text: str
  # The model is to learn to say it.
  loss: bool
  # The tokenizer's end token follows, with the same loss.
  end: bool = False
  # Special tokens in the text are meant: written by a template, not by data.
  special: bool = False


class Encoded(NamedTuple):
  """An example's tokens, at their full length."""

  tokens: np.ndarray  # uint32 [T]
  mask: np.ndarray  # uint8 [T], 1 on loss tokens


def encode(
    examples: Sequence[Sequence[Segment]], tokenizer: tokenizers.Tokenizer
) -> list[Encoded]:
  """Tokenizes examples: one BOS if the tokenizer has one, then all segments.

  The first token has no loss: it is predicted from nothing. An example without
  segments becomes BOS alone, or nothing.

  Args:
    examples: the segments of each.
    tokenizer: is called once for all plain text, and once for all special.

  Raises:
    UnicodeEncodeError: text that is not Unicode.
  """
  plain = iter(tokenizer.encode_batch(_texts(examples, special=False)))
  written = _texts(examples, special=True)
  special = iter(tokenizer.encode_special(written) if written else ())
  return [
      _join(
          [
              (each, next(special if each.special else plain))
              for each in example
          ],
          tokenizer,
      )
      for example in examples
  ]


def _texts(
    examples: Sequence[Sequence[Segment]], special: bool
) -> Sequence[str]:
  """The texts of one kind of all examples."""
  return [
      segment.text
      for example in examples
      for segment in example
      if segment.special == special
  ]


def _join(
    pieces: Sequence[tuple[Segment, np.ndarray]],
    tokenizer: tokenizers.Tokenizer,
) -> Encoded:
  """Puts an example's tokens together, with BOS, end tokens and mask."""
  begin = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
  tokens, mask = [np.array(begin, np.uint32)], [np.zeros(len(begin), np.uint8)]
  for ids, loss in _stretches(pieces, tokenizer.eos_id):
    tokens.append(ids)
    mask.append(np.full(len(ids), loss, np.uint8))
  masked = np.concatenate(mask)
  masked[:1] = 0
  return Encoded(np.concatenate(tokens), masked)


def _stretches(
    pieces: Sequence[tuple[Segment, np.ndarray]], eos_id: int
) -> Iterator[tuple[np.ndarray, bool]]:
  """Stretches of ids, and whether the loss falls on them."""
  for segment, ids in pieces:
    yield ids, segment.loss
    if segment.end:
      yield np.array([eos_id], np.uint32), segment.loss
