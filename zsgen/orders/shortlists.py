"""Shortlists: the best rows of each held-out example, without the N x M matrix.

One pass over the pool multiplies a block of rows at a time. For each held-out
example it keeps the rows that beat a threshold, the worst row kept so far.
Thresholds tighten when a buffer is full, so that after a few blocks the product
costs only one more comparison per element.

A candidate is one uint64: the bits of its key, changed so that they sort like the
key, and below them its row. Comparing two candidates compares keys and then rows,
which is the rule for ties. Each of several processes takes a share of the rows,
and their candidates are merged, so that all of them have the same lists.
"""

from collections.abc import Sequence

import numpy as np

from zsgen.orders import embeddings, similarity

_EMPTY = np.uint64(2**64 - 1)
_ROW_BITS = np.uint64(32)
_SIGN = np.uint32(2**31)


class Shortlist:
  """The `size` rows of smallest key of each held-out example, ascending.

  A key is -similarity for the nearest rows and similarity for the farthest; equal
  keys are sorted by row.

  Attributes:
    pick: "nearest" or "farthest".
    size: number of rows per example, K.
  """

  def __init__(self, pick: str, examples: int, size: int):
    self.pick = pick
    self.size = size
    self._is_farthest = pick == "farthest"
    # Columns beyond K buffer a block; `_make_room` adds them.
    self._cells = np.full((examples, size), _EMPTY)
    self._filled = np.zeros(examples, np.int64)
    self._worst = np.full((examples, 1), np.inf, np.float32)

  def add(self, rows: np.ndarray, products: np.ndarray) -> None:
    """Adds a block; blocks must come by ascending row.

    Args:
      rows: rows of the pool, ascending, int [R].
      products: their similarities, float32 [M, R].
    """
    if self._is_farthest:
      better = products < self._worst
    else:
      better = products > -self._worst
    hits = np.flatnonzero(better)
    if not len(hits):
      return
    width = products.shape[1]
    borders = np.arange(len(products) + 1) * width
    starts = np.searchsorted(hits, borders)
    counts = np.diff(starts)
    self._make_room(counts, width)
    examples = np.repeat(np.arange(len(counts)), counts)
    similarities = products.ravel()[hits]
    cells = _cells(
        similarities if self._is_farthest else -similarities,
        rows[hits - examples * width],
    )
    offsets = self._filled - starts[:-1]
    self._cells[examples, offsets[examples] + np.arange(len(hits))] = cells
    self._filled += counts

  def finish(self) -> None:
    """Merges and sorts the rows of all processes; nothing can be added later."""
    self._shrink()
    cells = _gather(self._cells[:, : self.size])
    self._cells = np.sort(cells, axis=1)[:, : self.size]
    self._filled = np.count_nonzero(self._cells != _EMPTY, axis=1)

  @property
  def rows(self) -> np.ndarray:
    """Rows, int64 [M, K]; undefined beyond an example's `filled`."""
    return (self._cells & (_EMPTY >> _ROW_BITS)).astype(np.int64)

  @property
  def keys(self) -> np.ndarray:
    """Keys of `rows`, float32 [M, K]."""
    return _keys(self._cells)

  @property
  def filled(self) -> np.ndarray:
    """The number of rows of each example, int64 [M]: K, or all rows."""
    return self._filled

  def _make_room(self, counts: np.ndarray, block: int) -> None:
    """Makes sure that every example can take `counts` more rows."""
    width = self.size + 2 * block
    if self._cells.shape[1] < width:
      self._cells = np.pad(
          self._cells,
          ((0, 0), (0, width - self._cells.shape[1])),
          constant_values=_EMPTY,
      )
    if (self._filled + counts).max() > width:
      self._shrink()

  def _shrink(self) -> None:
    """Keeps the best rows and tightens thresholds."""
    full = np.flatnonzero(self._filled > self.size)
    if self._cells.shape[1] > self.size and len(full):
      best = np.partition(self._cells[full], self.size - 1, axis=1)
      best[:, self.size :] = _EMPTY
      self._cells[full] = best
      self._filled[full] = self.size
      self._worst[full] = _keys(best[:, self.size - 1 : self.size])


def make(
    train: embeddings.Embeddings,
    heldout: embeddings.Embeddings,
    picks: Sequence[str],
    size: int,
) -> list[Shortlist]:
  """Makes a shortlist for each pick, in one pass over the pool.

  With several processes, all of them must call this with the same arguments.

  Args:
    train: embeddings of the pool, [N, D].
    heldout: embeddings of the held-out set, [M, D].
    picks: a sequence of "nearest" and "farthest".
    size: number of rows per example, at most N.

  Returns:
    The shortlists, in the order of `picks`.
  """
  lists = [Shortlist(pick, len(heldout), size) for pick in picks]
  import jax

  shares = np.array_split(np.arange(len(train)), jax.process_count())
  share = shares[jax.process_index()]
  vectors = train if len(share) == len(train) else train.take(share)
  for rows, products in similarity.blocks(vectors, heldout):
    for shortlist in lists:
      shortlist.add(share[rows], products)
  for shortlist in lists:
    shortlist.finish()
  return lists


def _gather(cells: np.ndarray) -> np.ndarray:
  """Returns the candidates of all processes, uint64 [M, P * K], from [M, K]
  each.
  """
  import jax
  from jax.experimental import multihost_utils

  if jax.process_count() == 1:
    return cells
  # By default jax has no 64-bit integers: send two halves.
  halves = np.ascontiguousarray(cells).view(np.uint32)
  gathered = np.asarray(multihost_utils.process_allgather(halves))
  return np.concatenate([part.view(np.uint64) for part in gathered], axis=1)


def _cells(keys: np.ndarray, rows: np.ndarray) -> np.ndarray:
  """Packs keys (float32 [n]) and rows (int [n]) into uint64 of the same order."""
  bits = (keys + np.float32(0)).view(np.uint32)  # -0.0 becomes 0.0.
  bits = np.where(bits & _SIGN, ~bits, bits | _SIGN)
  return bits.astype(np.uint64) << _ROW_BITS | rows.astype(np.uint64)


def _keys(cells: np.ndarray) -> np.ndarray:
  """Returns the keys in cells."""
  bits = (cells >> _ROW_BITS).astype(np.uint32)
  return np.where(bits & _SIGN, bits & ~_SIGN, ~bits).view(np.float32)
