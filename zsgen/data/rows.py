"""Examples become rows: texts to tokens, with the loss mask.

A batch of examples is encoded in one call of the tokenizer and laid out in
flat arrays: what Python does for each token, or even for each row, can cost
more than a fast tokenizer does.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from zsgen.data import prompts, suite, tokenizers, truncation

Template = Callable[[suite.Example], list[prompts.Segment]]


class Rows(NamedTuple):
  """Examples as tokens, [n] rows; a row without loss tokens is of no use.

  Attributes:
    tokens: of all rows, one after another, uint32.
    mask: 1 where a token takes part in the loss, uint8.
    lengths: tokens of each row, int64 [n].
    losses: loss tokens of each row, int64 [n].
    cut: whether a row was longer than it may be, bool [n].
    answer_cut: whether loss tokens were lost by that, bool [n].
    prompts: what is not to be said, as text.
    answers: what is, as text.
  """

  tokens: np.ndarray
  mask: np.ndarray
  lengths: np.ndarray
  losses: np.ndarray
  cut: np.ndarray
  answer_cut: np.ndarray
  prompts: list[str]
  answers: list[str]


def encode(
    examples: Sequence[suite.Example],
    template: Template,
    tokenizer: tokenizers.Tokenizer,
    max_length: int,
    truncate: str,
) -> Rows:
  """Encodes examples, one or more.

  Args:
    examples: what to encode; one without segments gives an empty row.
    template: turns an example into segments; none where there is no answer.
    tokenizer: of the segments' texts, called once for plain text and once for
      what templates write; one BOS is put before each row where there is one,
      and an end token after each segment that asks for it.
    max_length: tokens of the longest row.
    truncate: what of longer ones is cut, a policy of `truncation`.
  """
  segments = [template(each) for each in examples]
  tokens, mask, lengths = _joined(segments, tokenizer)
  cut, losses = lengths > max_length, _sums(mask, lengths)
  if cut.any():
    tokens, mask, lengths = _shortened(
        tokens, mask, lengths, max_length, truncate
    )
  return Rows(
      tokens,
      mask,
      lengths,
      left := _sums(mask, lengths),
      cut,
      left < losses,
      [_said(each, loss=False) for each in segments],
      [_said(each, loss=True) for each in segments],
  )


def _joined(
    segments: list[list[prompts.Segment]], tokenizer: tokenizers.Tokenizer
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Tokens and mask of all rows, and the length of each."""
  encoded = iter(_encoded(segments, tokenizer))
  none, end = np.zeros(0, np.uint32), np.array([tokenizer.eos_id], np.uint32)
  begin = none
  if tokenizer.bos_id is not None:
    begin = np.array([tokenizer.bos_id], np.uint32)
  pieces, loss, counts = [none], [False], []
  for row in segments:
    first = len(pieces)
    for segment in row:
      ids = next(encoded)
      if len(pieces) == first:
        pieces.append(begin)
        loss.append(False)
      pieces.append(ids)
      loss.append(segment.loss)
      if segment.end:
        pieces.append(end)
        loss.append(segment.loss)
    counts.append(len(pieces) - first)
  sizes = np.fromiter(map(len, pieces), np.int64, len(pieces))
  tokens = np.concatenate(pieces)
  mask = np.repeat(np.array(loss, np.uint8), sizes)
  lengths = _sums(sizes[1:], np.array(counts, np.int64))
  starts = np.cumsum(lengths) - lengths
  mask[starts[lengths > 0]] = 0  # The first token follows from nothing.
  return tokens, mask, lengths


def _encoded(
    segments: list[list[prompts.Segment]], tokenizer: tokenizers.Tokenizer
) -> list[np.ndarray]:
  """Ids of every segment's text; only templates may write special tokens."""
  flat = [segment for row in segments for segment in row]
  special = np.array([segment.special for segment in flat], bool)
  found: list[np.ndarray] = [np.zeros(0, np.uint32)] * len(flat)
  for encode_texts, places in (
      (tokenizer.encode_batch, np.flatnonzero(~special)),
      (tokenizer.encode_special, np.flatnonzero(special)),
  ):
    if len(places):
      texts = [flat[place].text for place in places]
      for place, ids in zip(places, encode_texts(texts), strict=True):
        found[place] = ids
  return found


def _shortened(
    tokens: np.ndarray,
    mask: np.ndarray,
    lengths: np.ndarray,
    max_length: int,
    truncate: str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Rows of at most `max_length` tokens."""
  ends = np.cumsum(lengths)
  rows = []
  for begin, end in zip(ends - lengths, ends, strict=True):
    row = tokens[begin:end], mask[begin:end]
    if end - begin > max_length:
      row = truncation.cut(*row, max_length, truncate)[:2]
    rows.append(row)
  sizes = np.array([len(row) for row, _ in rows], np.int64)
  return *map(np.concatenate, zip(*rows, strict=True)), sizes


def _sums(values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
  """Sum of each run of `lengths` values, int64; empty runs give 0."""
  total = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
  ends = np.cumsum(lengths)
  return total[ends] - total[ends - lengths]


def _said(segments: list[prompts.Segment], loss: bool) -> str:
  """The text of the segments with, or without, loss."""
  return "\n".join(each.text for each in segments if each.loss == loss)
