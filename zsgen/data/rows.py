"""Examples become rows: texts to tokens of at most a length, with loss mask."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from zsgen.data import lost_text, prompts, suite, tokenizers, truncation


class Rows(NamedTuple):
  """Examples as tokens, [n] rows; a row without loss tokens is of no use.

  Attributes:
    tokens: of all rows, one after another, uint32.
    mask: 1 where a token takes part in the loss, uint8.
    lengths: tokens of each row, int64 [n].
    losses: loss tokens of each row, int64 [n].
    cut: whether a row was longer than it may be, bool [n].
    answer_cut: whether loss tokens were lost by that, bool [n].
    last_lost: whether all of the last answer's were, bool [n].
    unknown: unknown tokens of each row, int64 [n].
    unknown_loss: those with loss, int64 [n].
    dropped: characters of each request that no token stands for, int64 [n].
    changed: whether the tokenizer changes characters of the answer, bool [n].
    answer_lost: whether the answer lost characters, and so all tokens of the
      row are left out, bool [n].
    characters: how often each is lost, or unknown.
    prompts: what is not to be said, as text.
    answers: what is, as text.
  """

  tokens: np.ndarray
  mask: np.ndarray
  lengths: np.ndarray
  losses: np.ndarray
  cut: np.ndarray
  answer_cut: np.ndarray
  last_lost: np.ndarray
  unknown: np.ndarray
  unknown_loss: np.ndarray
  dropped: np.ndarray
  changed: np.ndarray
  answer_lost: np.ndarray
  characters: Mapping[str, int]
  prompts: list[str]
  answers: list[str]


def encode(
    examples: Sequence[suite.Example],
    prompt: Callable[[suite.Example], list[prompts.Segment]],
    tokenizer: tokenizers.Tokenizer,
    max_length: int,
    truncate: str,
    on_lost: str = "error",
) -> Rows:
  """Encodes examples, one or more.

  Args:
    examples: what to encode; one without segments gives an empty row.
    prompt: turns an example into segments; none where there is no answer.
    tokenizer: of the segments' texts.
    max_length: tokens of the longest row.
    truncate: what of longer ones is cut, a policy of `truncation`.
    on_lost: "error", or "skip" for a row without loss tokens where the
      tokenizer drops characters of an answer.

  Raises:
    InputError: characters of an answer are dropped.
    UnicodeEncodeError: a text is not Unicode.
  """
  segments = [prompt(each) for each in examples]
  encoded = prompts.encode(segments, tokenizer)
  lost = lost_text.find(segments, encoded, tokenizer)
  if on_lost == "error":
    lost_text.refuse(examples, lost.answers)
  answer_lost = np.array([bool(each) for each in lost.answers])
  nothing = prompts.Encoded(np.zeros(0, np.uint32), np.zeros(0, np.uint8))
  kept = [
      truncation.cut(*(nothing if gone else each), max_length, truncate)
      for each, gone in zip(encoded, answer_lost.tolist(), strict=True)
  ]
  tokens = np.concatenate([each.tokens for each in kept])
  mask = np.concatenate([each.mask for each in kept])
  lengths = np.array([len(each.tokens) for each in kept], np.int64)
  borders = np.concatenate([[0], np.cumsum(lengths)])
  unknown = _unknown(tokens, tokenizer)
  return Rows(
      tokens=tokens,
      mask=mask,
      lengths=lengths,
      losses=_sums(mask, borders),
      cut=np.array([each.cut for each in kept]),
      answer_cut=np.array([each.answer_cut for each in kept]),
      last_lost=np.array([each.last_lost for each in kept]),
      unknown=_sums(unknown, borders),
      unknown_loss=_sums(unknown & mask, borders),
      dropped=lost.dropped,
      changed=lost.changed,
      answer_lost=answer_lost,
      characters=lost.characters,
      prompts=[_said(each, loss=False) for each in segments],
      answers=[_said(each, loss=True) for each in segments],
  )


def _unknown(tokens: np.ndarray, tokenizer: tokenizers.Tokenizer) -> np.ndarray:
  """1 where a token is the unknown one, uint8."""
  if tokenizer.lost is None or tokenizer.lost.unknown_id is None:
    return np.zeros(len(tokens), np.uint8)
  return (tokens == tokenizer.lost.unknown_id).astype(np.uint8)


def _sums(values: np.ndarray, borders: np.ndarray) -> np.ndarray:
  """The sum of each row, int64 [n]."""
  if not values.any():
    return np.zeros(len(borders) - 1, np.int64)
  before = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
  return np.diff(before[borders])


def _said(segments: Sequence[prompts.Segment], loss: bool) -> str:
  """The text of the segments with, or without, loss."""
  return "\n".join([each.text for each in segments if each.loss == loss])
