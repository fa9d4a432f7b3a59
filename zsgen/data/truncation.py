"""Truncation: what of a long example is kept.

tail    the first tokens are kept, as in 2406.11721
prompt  the middle of the first prompt goes, so that answers stay whole
"""

from typing import NamedTuple

import numpy as np


class Cut(NamedTuple):
  """What is kept of an example, and what happened to it."""

  tokens: np.ndarray  # uint32 [T], T <= max_length
  mask: np.ndarray  # uint8 [T]
  # Tokens are gone.
  cut: bool
  # Loss tokens are gone.
  answer_cut: bool
  # All loss tokens are gone.
  lost: bool
  # The last answer is gone, though earlier ones may be left.
  last_lost: bool = False


def cut(
    tokens: np.ndarray, mask: np.ndarray, max_length: int, policy: str
) -> Cut:
  """Cuts an example down to a length.

  "prompt" takes tokens from the middle of what stands before the first loss
  token, as many as are too many, or all but one: the first, BOS where there is
  one, always stays. Of an odd number kept, the head has one more than the
  tail. What is then still too long loses its tail.

  Args:
    tokens: ids, uint32 [T].
    mask: 1 on loss tokens, uint8 [T].
    max_length: in tokens, 1 or more.
    policy: "tail" or "prompt", as `config.data.truncate`.

  Returns:
    At most `max_length` tokens, and what is gone.
  """
  excess = len(tokens) - max_length
  if excess <= 0:
    return Cut(tokens, mask, cut=False, answer_cut=False, lost=False)
  kept = np.arange(len(tokens))
  if policy == "prompt" and mask.any():
    prompt = int(mask.argmax())
    left = max(prompt - excess, 1)
    head = (left + 1) // 2
    kept = np.delete(kept, slice(head, head + prompt - left))
  kept = kept[:max_length]
  gone = int(mask.sum()) - int(mask[kept].sum())
  return Cut(
      tokens[kept],
      mask[kept],
      cut=True,
      answer_cut=gone > 0,
      lost=gone > 0 and not mask[kept].any(),
      last_lost=gone > 0 and _answers(mask[kept]) < _answers(mask),
  )


def _answers(mask: np.ndarray) -> int:
  """Runs of loss tokens; cutting joins none of them."""
  return int((np.diff(mask.astype(np.int8), prepend=0) == 1).sum())
