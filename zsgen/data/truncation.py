"""Truncation: which tokens of a long example are kept.

tail    the first tokens are kept, as in 2406.11721
prompt  the middle of the first prompt is cut, so that answers stay complete
"""

from typing import NamedTuple

import numpy as np


class Cut(NamedTuple):
  """The tokens that are kept of an example, and what was cut."""

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

  "prompt" removes excess tokens from the middle of those before the first loss
  token, but keeps at least the first one, which may be BOS. If an odd number is
  kept, the head has one more than the tail. An example that is still too long
  then loses its tail.

  Args:
    tokens: ids, uint32 [T].
    mask: 1 on loss tokens, uint8 [T].
    max_length: in tokens, 1 or more.
    policy: "tail" or "prompt", as `config.data.truncate`.

  Returns:
    At most `max_length` tokens, and what was cut.
  """
  excess = len(tokens) - max_length
  if excess <= 0:
    return Cut(tokens, mask, cut=False, answer_cut=False, lost=False)
  positions = np.arange(len(tokens))
  if policy == "prompt" and mask.any():
    prompt = int(mask.argmax())
    left = max(prompt - excess, 1)
    head = (left + 1) // 2
    positions = np.delete(positions, slice(head, head + prompt - left))
  positions = positions[:max_length]
  lost_tokens = int(mask.sum()) - int(mask[positions].sum())
  return Cut(
      tokens[positions],
      mask[positions],
      cut=True,
      answer_cut=lost_tokens > 0,
      lost=lost_tokens > 0 and not mask[positions].any(),
      last_lost=lost_tokens > 0 and _answers(mask[positions]) < _answers(mask),
  )


def _answers(mask: np.ndarray) -> int:
  """Counts runs of loss tokens; cutting joins none of them."""
  return int((np.diff(mask.astype(np.int8), prepend=0) == 1).sum())
