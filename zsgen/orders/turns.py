"""Turns: held-out examples pick rows, round after round.

The paper's Algorithm 1 (2406.11721, spec 2.6 to 2.8), exact and without the
N x M matrix: every held-out example walks down its shortlist past the rows that
are already picked. A list that runs out is made again from the remaining rows.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from zsgen.orders import cosines, embeddings, shortlists

# Number of rows of a list that are examined together.
_STRIDE = 64
# Rows of a list per round, for the number of rounds that the budget would last if
# no two examples picked the same row. More rows cost memory; with fewer rows,
# another pass over the pool may be necessary.
_DEPTH = 64
_SHORTEST = 128


class Round(NamedTuple):
  """The rows that one round picks.

  Attributes:
    rows: rows of the pool, ascending, int64 [n].
    keys: the smallest key that picked each row, float [n]: -similarity for
      nearest, similarity for farthest picks.
  """

  rows: np.ndarray
  keys: np.ndarray


def rounds(
    train: embeddings.Embeddings,
    heldout: embeddings.Embeddings,
    picks: tuple[str, ...],
    budget: int,
    exact: bool = False,
    make_lists: shortlists.Make = shortlists.make,
) -> list[Iterator[Round]]:
  """Returns the rounds of each pick, from one pass over the pool.

  Args:
    train: embeddings of the pool, [N, D].
    heldout: embeddings of the held-out set, [M, D].
    picks: a sequence of "nearest" and "farthest".
    budget: approximate number of rows that will be used; affects time and memory
      but not the result.
    exact: whether similarities are cosines in float64 (`cosines`) instead of dot
      products of vectors on the grid.
    make_lists: makes the shortlists of the first pass.

  Returns:
    The rounds of each pick, until all N rows are picked. In a round, each
    held-out example picks the row of smallest key that no earlier round picked;
    several examples may pick the same row.
  """
  size = list_size(train, heldout, budget)
  if exact:
    train = cosines.scaled(train)
  lists = make_lists(train, heldout, picks, size)
  return [_Walk(train, heldout, shortlist).rounds() for shortlist in lists]


def list_size(
    train: embeddings.Embeddings, heldout: embeddings.Embeddings, budget: int
) -> int:
  """Returns the rows of a shortlist of the first pass; see `rounds`."""
  depth = max(_SHORTEST, _DEPTH * -(-budget // len(heldout)))
  return min(len(train), depth)


class _Walk:
  """The position of each held-out example in its shortlist."""

  def __init__(
      self,
      train: embeddings.Embeddings,
      heldout: embeddings.Embeddings,
      shortlist: shortlists.Shortlist,
  ):
    self._train = train
    self._heldout = heldout
    self._pick = shortlist.pick
    self._is_picked = np.zeros(len(train), bool)
    self._rows, self._keys, self._ends = _read(shortlist, train, heldout)
    self._positions = np.zeros(len(heldout), np.int64)

  def rounds(self) -> Iterator[Round]:
    """Yields the rows of each round, and the distances that picked them."""
    remaining = len(self._train)
    while remaining:
      self._advance()
      picked = np.arange(len(self._positions)), self._positions
      rows, indices = np.unique(self._rows[picked], return_inverse=True)
      keys = np.full(len(rows), np.inf, self._keys.dtype)
      np.minimum.at(keys, indices, self._keys[picked])
      self._is_picked[rows] = True
      remaining -= len(rows)
      yield Round(rows, keys)

  def _advance(self) -> None:
    """Moves each example to its first row that is not picked."""
    pending = np.arange(len(self._positions))
    while len(pending):
      exhausted = pending[self._positions[pending] >= self._ends[pending]]
      if len(exhausted):
        self._refill(exhausted)
      ahead = self._positions[pending, None] + np.arange(_STRIDE)
      last = self._ends[pending, None] - 1
      is_free = ~self._is_picked[
          self._rows[pending[:, None], ahead.clip(max=last)]
      ]
      has_row = is_free.any(axis=1)
      self._positions[pending] += np.where(
          has_row, is_free.argmax(axis=1), _STRIDE
      )
      pending = pending[~has_row]

  def _refill(self, exhausted: np.ndarray) -> None:
    """Makes lists again that ran out, and those that soon will."""
    half = self._rows.shape[1] // 2
    short = np.flatnonzero(self._ends - self._positions <= half)
    short = np.union1d(exhausted, short)
    free = np.flatnonzero(~self._is_picked)
    size = min(self._rows.shape[1], len(free))
    sides = self._train.take(free), self._heldout.take(short)
    shortlist = shortlists.make(*sides, (self._pick,), size)[0]
    rows, keys, ends = _read(shortlist, *sides)
    size = rows.shape[1]
    if (missing := size - self._rows.shape[1]) > 0:
      self._rows, self._keys = (
          np.pad(values, ((0, 0), (0, missing)))
          for values in (self._rows, self._keys)
      )
    self._rows[short, :size] = free[rows]
    self._keys[short, :size] = keys
    self._ends[short] = ends
    self._positions[short] = 0


def _read(
    shortlist: shortlists.Shortlist,
    train: embeddings.Embeddings,
    heldout: embeddings.Embeddings,
) -> cosines.Lists:
  """Returns the lists of a shortlist, by cosines if the vectors are scaled."""
  if train.scales is not None:
    return cosines.rank(shortlist, train, heldout)
  ends = shortlist.filled.copy()
  return cosines.Lists(shortlist.rows, shortlist.keys, ends)
