"""Segments of an example, and the tokens that they become."""

from collections.abc import Sequence
import itertools
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
  begin = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
  bos, eos = (np.array(ids, np.uint32) for ids in (begin, [tokenizer.eos_id]))
  pieces, losses, borders = [], [], [0]
  for example in examples:
    pieces.append(bos)
    losses.append(0)
    for segment in example:
      ids = next(special if segment.special else plain)
      said = [ids, eos] if segment.end else [ids]
      pieces += said
      losses += [segment.loss] * len(said)
    borders.append(len(pieces))
  return _rows(pieces, losses, borders)


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


def _rows(
    pieces: Sequence[np.ndarray],
    losses: Sequence[int],
    borders: Sequence[int],
) -> list[Encoded]:
  """Puts the pieces of all examples together at once: rows are many and short.

  Args:
    pieces: ids, uint32, of all examples one after another.
    losses: of each piece.
    borders: the first piece of each example, and the number of pieces.
  """
  sizes = [len(each) for each in pieces]
  tokens = np.concatenate([np.zeros(0, np.uint32), *pieces])
  mask = np.repeat(np.array(losses, np.uint8), sizes)
  begins = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])[borders]
  # An empty row at the very end has no first token.
  mask[begins[begins < len(mask)]] = 0
  return [
      Encoded(tokens[begin:end], mask[begin:end])
      for begin, end in itertools.pairwise(begins.tolist())
  ]
