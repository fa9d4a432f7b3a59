"""Encodes the segments of examples as tokens."""

from collections.abc import Iterable, Iterator, Sequence
import itertools
from typing import NamedTuple

import numpy as np

from zsgen.data import tokenizers
from zsgen.data.prompts import joining
from zsgen.data.prompts.segment import Segment

__all__ = ["Encoded", "Segment", "encode"]


class Encoded(NamedTuple):
  """An example's tokens, at their full length."""

  tokens: np.ndarray  # uint32 [T]
  mask: np.ndarray  # uint8 [T], 1 on loss tokens


def encode(
    examples: Sequence[Sequence[Segment]],
    tokenizer: tokenizers.Tokenizer,
    border: str = "answer",
) -> list[Encoded]:
  """Tokenizes examples: BOS if the tokenizer has it, then all segments.

  Segments are tokenized separately, so that no token is partly in the loss. By
  default they are parts of one text (see `joining`): white space before an
  answer is the answer's.

  The first token has no loss, because nothing predicts it. An example without
  segments becomes BOS or nothing.

  Args:
    examples: the segments of each example.
    tokenizer: a tokenizer, which is called once for all text of the same kind.
    border: `config.data.border`.

  Raises:
    UnicodeEncodeError: a text is not Unicode.
  """
  parts = [joining.split(example, tokenizer, border) for example in examples]
  return join_pieces(parts, encode_pieces(parts, tokenizer), tokenizer)


def join_pieces(
    parts: Sequence[Sequence[joining.Piece]],
    ids: Iterable[Sequence[np.ndarray]],
    tokenizer: tokenizers.Tokenizer,
) -> list[Encoded]:
  """Joins the ids of the pieces of each example; see `encode`.

  Args:
    parts: the pieces of each example, from `joining.split`.
    ids: of each piece of each example, from `encode_pieces`.
    tokenizer: the tokenizer.
  """
  begin = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
  bos, eos = (np.array(ids, np.uint32) for ids in (begin, [tokenizer.eos_id]))
  pieces, losses, borders = [], [], [0]
  for example, ids_of_pieces in zip(parts, ids, strict=True):
    pieces.append(bos)
    losses.append(0)
    for (segment, _), piece in zip(example, ids_of_pieces, strict=True):
      arrays = [piece, eos] if segment.end else [piece]
      pieces += arrays
      losses += [segment.loss] * len(arrays)
    borders.append(len(pieces))
  return _rows(pieces, losses, borders)


def encode_pieces(
    examples: Sequence[Sequence[joining.Piece]],
    tokenizer: tokenizers.Tokenizer,
) -> Iterator[list[np.ndarray]]:
  """Yields the ids, uint32, of each piece of each example.

  Raises:
    UnicodeEncodeError: a text is not Unicode.
  """
  ids_by_kind = _encoders(examples, tokenizer)
  for example in examples:
    yield [
        next(ids_by_kind[segment.special, continues])
        for segment, continues in example
    ]


def _encoders(
    parts: Sequence[Sequence[tuple[Segment, bool]]],
    tokenizer: tokenizers.Tokenizer,
) -> dict[tuple[bool, bool], Iterator[np.ndarray]]:
  """Returns iterators over ids, by whether segments are special and continue
  text.
  """
  texts: dict[tuple[bool, bool], list[str]] = {}
  for example in parts:
    for segment, continues in example:
      texts.setdefault((segment.special, continues), []).append(segment.text)
  # Plain text first, so that errors about Unicode are about it.
  return {
      kind: iter(_encode(texts[kind], *kind, tokenizer))
      for kind in sorted(texts)
  }


def _encode(
    texts: Sequence[str],
    special: bool,
    continues: bool,
    tokenizer: tokenizers.Tokenizer,
) -> list[np.ndarray]:
  """Returns the ids of each text of one kind."""
  if continues:
    assert tokenizer.continued is not None, "`joining.join` needs it too"
    return tokenizer.continued.encode(texts, special)
  return (tokenizer.encode_special if special else tokenizer.encode_batch)(
      texts
  )


def _rows(
    pieces: Sequence[np.ndarray],
    losses: Sequence[int],
    borders: Sequence[int],
) -> list[Encoded]:
  """Joins the pieces of all examples at once, because there are many short
  rows.

  Args:
    pieces: ids, uint32, of all examples in order.
    losses: whether each piece has a loss.
    borders: the first piece of each example, and the number of pieces.
  """
  sizes = [len(piece) for piece in pieces]
  tokens = np.concatenate([np.zeros(0, np.uint32), *pieces])
  mask = np.repeat(np.array(losses, np.uint8), sizes)
  begins = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])[borders]
  # An empty row at the very end has no first token.
  mask[begins[begins < len(mask)]] = 0
  return [
      Encoded(tokens[begin:end], mask[begin:end])
      for begin, end in itertools.pairwise(begins.tolist())
  ]
