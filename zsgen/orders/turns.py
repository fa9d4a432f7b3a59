"""Turns: held-out examples pick rows, round after round.

The paper's Algorithm 1 (2406.11721, spec 2.6 to 2.8), exact and without the
N x M matrix: every held-out example walks down its shortlist past the rows that
are taken, and where a list runs out it is made anew of the rows that are left.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from zsgen.orders import embeddings, shortlists

# Rows of a list that are looked at together.
_STRIDE = 64
# Rows of a list for each round that the budget would last if no two examples
# picked the same; more cost memory, fewer cost another pass over the pool.
_DEPTH = 64
_SHORTEST = 128


class Round(NamedTuple):
  """What one round took.

  Attributes:
    rows: rows of the pool, ascending, int64 [n].
    keys: the smallest key that picked each, float32 [n]: -similarity for
      nearest, similarity for farthest picks.
  """

  rows: np.ndarray
  keys: np.ndarray


def rounds(
    train: embeddings.Embeddings,
    heldout: embeddings.Embeddings,
    picks: tuple[str, ...],
    wanted: int,
) -> list[Iterator[Round]]:
  """Rounds of each pick; all from one pass over the pool.

  Args:
    train: embeddings of the pool, [N, D].
    heldout: embeddings of the held-out set, [M, D].
    picks: "nearest" or "farthest", each.
    wanted: rows that will be asked for, about; the result does not depend on
      it, time and memory do.

  Returns:
    For each pick its rounds, until all N rows are taken. In a round each
    held-out example picks its row of smallest key that no earlier round took;
    several may pick the same.
  """
  depth = max(_SHORTEST, _DEPTH * -(-wanted // len(heldout)))
  size = min(len(train), depth)
  lists = shortlists.make(train, heldout, picks, size)
  return [_Walk(train, heldout, each).rounds() for each in lists]


class _Walk:
  """Where each held-out example stands in its shortlist."""

  def __init__(
      self,
      train: embeddings.Embeddings,
      heldout: embeddings.Embeddings,
      shortlist: shortlists.Shortlist,
  ):
    self._train = train
    self._heldout = heldout
    self._pick = shortlist.pick
    self._taken = np.zeros(len(train), bool)
    self._rows, self._keys = shortlist.rows, shortlist.keys
    self._ends = shortlist.filled.copy()
    self._places = np.zeros(len(heldout), np.int64)

  def rounds(self) -> Iterator[Round]:
    left = len(self._train)
    while left:
      self._advance()
      picked = np.arange(len(self._places)), self._places
      rows, which = np.unique(self._rows[picked], return_inverse=True)
      keys = np.full(len(rows), np.inf, np.float32)
      np.minimum.at(keys, which, self._keys[picked])
      self._taken[rows] = True
      left -= len(rows)
      yield Round(rows, keys)

  def _advance(self) -> None:
    """Moves each example on to its first row that is not taken."""
    behind = np.arange(len(self._places))
    while len(behind):
      over = behind[self._places[behind] >= self._ends[behind]]
      if len(over):
        self._refill(over)
      ahead = self._places[behind, None] + np.arange(_STRIDE)
      last = self._ends[behind, None] - 1
      free = ~self._taken[self._rows[behind[:, None], ahead.clip(max=last)]]
      found = free.any(axis=1)
      self._places[behind] += np.where(found, free.argmax(axis=1), _STRIDE)
      behind = behind[~found]

  def _refill(self, over: np.ndarray) -> None:
    """Makes lists anew that ran out, and with them those that soon will."""
    half = self._rows.shape[1] // 2
    short = np.flatnonzero(self._ends - self._places <= half)
    short = np.union1d(over, short)
    free = np.flatnonzero(~self._taken)
    size = min(self._rows.shape[1], len(free))
    found = shortlists.make(
        self._train.take(free),
        self._heldout.take(short),
        (self._pick,),
        size,
    )[0]
    self._rows[short, :size] = free[found.rows]
    self._keys[short, :size] = found.keys
    self._ends[short] = size
    self._places[short] = 0
