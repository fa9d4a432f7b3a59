"""Groups of examples that begin with the same tokens.

The held-out examples of a task often share a definition and solved examples,
and the answers to choose from of one example share its whole prompt. A prefix
that is computed once for its group saves the tokens of all but one member.

The groups depend on the tokens of an evaluation's examples only.
"""

from collections.abc import Iterable, Sequence
import itertools
from typing import NamedTuple

import numpy as np

from zsgen.data import store as store_lib
from zsgen.train import layouts

# Shorter prefixes, in tokens, are not worth a segment of their own.
_SHORTEST = 16
_UNBOUNDED = np.iinfo(np.int64).max // 2**32


class Group(NamedTuple):
  """Examples that share a prefix.

  Attributes:
    prefix: tokens of the prefix; 0 if there is one example.
    members: indices of the examples.
  """

  prefix: int
  members: tuple[int, ...]

  def tokens(self, lengths: np.ndarray) -> int:
    """Returns the tokens of the prefix and of what follows in each member.

    Args:
      lengths: tokens of each example, int [E].
    """
    total = int(lengths[list(self.members)].sum())
    return total - self.prefix * (len(self.members) - 1)


def singles(count: int) -> list[Group]:
  """Returns the groups of examples that share nothing."""
  return [Group(0, (index,)) for index in range(count)]


def find_groups(rows: Iterable[store_lib.TokenRow]) -> list[Group]:
  """Groups examples so that prefixes save as many tokens as possible.

  Each example is in one group. Groups are successive in the sequence of the
  sorted prompts. A prefix ends before the token from which the first token with
  loss is predicted.

  Args:
    rows: the examples.
  """
  # Bytes in this order compare as the tokens do.
  prompts = [row.tokens[: _shareable(row)].astype(">u4") for row in rows]
  order = sorted(range(len(prompts)), key=lambda i: (prompts[i].tobytes(), i))
  common = np.array(
      [
          _common(prompts[first], prompts[second])
          for first, second in itertools.pairwise(order)
      ],
      np.int64,
  )
  common[common < _SHORTEST] = 0
  groups = []
  for begin, end in _partition(common):
    prefix = int(common[begin : end - 1].min()) if end - begin > 1 else 0
    groups.append(Group(prefix, tuple(sorted(order[begin:end]))))
  return sorted(groups, key=lambda group: group.members)


def split_groups(
    groups: Sequence[Group], lengths: np.ndarray, row_length: int
) -> list[Group]:
  """Splits groups so that none has more tokens than a row.

  Args:
    groups: the groups.
    lengths: tokens of each example, int [E], at most `row_length`.
    row_length: tokens of a row.
  """
  fitting = []
  for prefix, members in groups:
    rests = (lengths[list(members)] - prefix).tolist()
    for part in layouts.best_fit(rests, row_length - prefix):
      indices = tuple(sorted(members[i] for i in part))
      fitting.append(Group(prefix if len(indices) > 1 else 0, indices))
  return fitting


def _shareable(row: store_lib.TokenRow) -> int:
  """Returns how many tokens a prefix may have."""
  return max(int(np.argmax(row.mask > 0)) - 1, 0)


def _common(first: np.ndarray, second: np.ndarray) -> int:
  """Returns the number of tokens that two rows have in common at the start."""
  size = min(len(first), len(second))
  differs = first[:size] != second[:size]
  return int(differs.argmax()) if differs.any() else size


def _partition(common: np.ndarray) -> list[tuple[int, int]]:
  """Cuts a sequence of examples where prefixes save the most tokens.

  A group of n successive examples saves n - 1 times the least of what
  successive ones have in common.

  Args:
    common: tokens that each example has in common with the next, int64 [E - 1].

  Returns:
    Begin and end of each group; larger groups if that saves as much.
  """
  count = len(common) + 1
  saved = np.zeros(count + 1, np.int64)  # By the examples before an index.
  begins = np.zeros(count + 1, np.int64)  # Of the last group before an index.
  least = np.full(count, _UNBOUNDED)  # From each example to the current one.
  first = 0
  for end in range(1, count + 1):
    last = end - 1
    if last and not common[last - 1]:
      first = last
    if first < last:
      least[first:last] = np.minimum(least[first:last], common[last - 1])
    sizes = np.arange(last - first, -1, -1)
    totals = saved[first:end] + sizes * least[first:end]
    best = int(totals.argmax())
    saved[end], begins[end] = totals[best], first + best
  cuts = [count]
  while cuts[-1]:
    cuts.append(int(begins[cuts[-1]]))
  return [(begin, end) for end, begin in itertools.pairwise(cuts)]
