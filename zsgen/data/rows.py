"""Examples become rows: texts to tokens of at most a length, with loss mask."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from zsgen.data import prompts, suite, tokenizers, truncation


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
  prompts: list[str]
  answers: list[str]


def encode(
    examples: Sequence[suite.Example],
    prompt: Callable[[suite.Example], list[prompts.Segment]],
    tokenizer: tokenizers.Tokenizer,
    max_length: int,
    truncate: str,
) -> Rows:
  """Encodes examples, one or more.

  Args:
    examples: what to encode; one without segments gives an empty row.
    prompt: turns an example into segments; none where there is no answer.
    tokenizer: of the segments' texts.
    max_length: tokens of the longest row.
    truncate: what of longer ones is cut, a policy of `truncation`.

  Raises:
    UnicodeEncodeError: a text is not Unicode.
  """
  segments = [prompt(each) for each in examples]
  kept = [
      truncation.cut(*each, max_length, truncate)
      for each in prompts.encode(segments, tokenizer)
  ]
  mask = np.concatenate([each.mask for each in kept])
  lengths = np.array([len(each.tokens) for each in kept], np.int64)
  before = np.concatenate([[0], np.cumsum(mask, dtype=np.int64)])
  borders = np.concatenate([[0], np.cumsum(lengths)])
  return Rows(
      tokens=np.concatenate([each.tokens for each in kept]),
      mask=mask,
      lengths=lengths,
      losses=np.diff(before[borders]),
      cut=np.array([each.cut for each in kept]),
      answer_cut=np.array([each.answer_cut for each in kept]),
      last_lost=np.array([each.last_lost for each in kept]),
      prompts=[_said(each, loss=False) for each in segments],
      answers=[_said(each, loss=True) for each in segments],
  )


def _said(segments: Sequence[prompts.Segment], loss: bool) -> str:
  """The text of the segments with, or without, loss."""
  return "\n".join([each.text for each in segments if each.loss == loss])
