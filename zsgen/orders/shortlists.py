"""Shortlists: the best rows of each held-out example, without the N x M matrix.

One pass over the pool multiplies a block of rows at a time and keeps, for each
held-out example, what beats its threshold: the worst of the rows that it has
kept so far. Thresholds tighten where a buffer is full, so that after a few
blocks one comparison an element is all that is added to the product.

A candidate is one uint64: its key's bits, made to sort as the key does, and
below them its row. Comparing two of them compares keys and then rows, which is
the rule for ties. Several processes take a share of the rows each and merge
what they found, so that all of them have the same lists.
"""

from collections.abc import Sequence

import numpy as np

from zsgen.orders import embeddings, similarity

_NONE = np.uint64(2**64 - 1)
_ROW_BITS = np.uint64(32)
_SIGN = np.uint32(2**31)


class Shortlist:
  """The `size` rows of smallest key of each held-out example, ascending.

  A key is -similarity if the nearest rows are looked for and similarity if the
  farthest are; equal keys stand by ascending row.

  Attributes:
    pick: "nearest" or "farthest".
    size: rows an example, K.
  """

  def __init__(self, pick: str, examples: int, size: int):
    self.pick = pick
    self.size = size
    self._far = pick == "farthest"
    # Rows of a block beyond the K that are kept; grows to the block.
    self._cells = np.full((examples, size), _NONE)
    self._filled = np.zeros(examples, np.int64)
    self._worst = np.full((examples, 1), np.inf, np.float32)

  def add(self, rows: np.ndarray, products: np.ndarray) -> None:
    """Takes in a block; blocks come by ascending row.

    Args:
      rows: rows of the pool, ascending, int [R].
      products: their similarities, float32 [M, R].
    """
    if self._far:
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
    found = products.ravel()[hits]
    cells = _cells(
        found if self._far else -found,
        rows[hits - examples * width],
    )
    places = self._filled - starts[:-1]
    self._cells[examples, places[examples] + np.arange(len(hits))] = cells
    self._filled += counts

  def done(self) -> None:
    """Sorts what all processes took in; nothing can be added any more."""
    self._shrink()
    cells = _of_all_processes(self._cells[:, : self.size])
    self._cells = np.sort(cells, axis=1)[:, : self.size]
    self._filled = np.count_nonzero(self._cells != _NONE, axis=1)

  @property
  def rows(self) -> np.ndarray:
    """Rows, int64 [M, K]; beyond an example's `filled` they mean nothing."""
    return (self._cells & (_NONE >> _ROW_BITS)).astype(np.int64)

  @property
  def keys(self) -> np.ndarray:
    """Keys of `rows`, float32 [M, K]."""
    return _keys(self._cells)

  @property
  def filled(self) -> np.ndarray:
    """Rows that each example has, int64 [M]: K, or all that there were."""
    return self._filled

  def _make_room(self, counts: np.ndarray, block: int) -> None:
    """Sees to it that every example can take `counts` more."""
    width = self.size + 2 * block
    if self._cells.shape[1] < width:
      self._cells = np.pad(
          self._cells,
          ((0, 0), (0, width - self._cells.shape[1])),
          constant_values=_NONE,
      )
    if (self._filled + counts).max() > width:
      self._shrink()

  def _shrink(self) -> None:
    """Keeps the best of what was gathered, and tightens thresholds."""
    full = np.flatnonzero(self._filled > self.size)
    if self._cells.shape[1] > self.size and len(full):
      kept = np.partition(self._cells[full], self.size - 1, axis=1)
      kept[:, self.size :] = _NONE
      self._cells[full] = kept
      self._filled[full] = self.size
      self._worst[full] = _keys(kept[:, self.size - 1 : self.size])


def make(
    train: embeddings.Embeddings,
    heldout: embeddings.Embeddings,
    picks: Sequence[str],
    size: int,
) -> list[Shortlist]:
  """A shortlist for each pick, in one pass over the pool.

  With several processes, all of them must call this with the same arguments.

  Args:
    train: embeddings of the pool, [N, D].
    heldout: embeddings of the held-out set, [M, D].
    picks: "nearest" or "farthest", each.
    size: rows an example, at most N.

  Returns:
    The shortlists, as `picks` has them.
  """
  import jax

  lists = [Shortlist(pick, len(heldout), size) for pick in picks]
  mine = np.array_split(np.arange(len(train)), jax.process_count())
  share = mine[jax.process_index()]
  own = train if len(share) == len(train) else train.take(share)
  for rows, products in similarity.blocks(own, heldout):
    for each in lists:
      each.add(share[rows], products)
  for each in lists:
    each.done()
  return lists


def _of_all_processes(cells: np.ndarray) -> np.ndarray:
  """Candidates of every process, uint64 [M, P * K], of [M, K] in each."""
  import jax
  from jax.experimental import multihost_utils

  if jax.process_count() == 1:
    return cells
  # jax has no 64-bit integers unless told: two halves each.
  halves = np.ascontiguousarray(cells).view(np.uint32)
  gathered = np.asarray(multihost_utils.process_allgather(halves))
  return np.concatenate([each.view(np.uint64) for each in gathered], axis=1)


def _cells(keys: np.ndarray, rows: np.ndarray) -> np.ndarray:
  """Keys (float32 [n]) and rows (int [n]) as uint64 that sort as they do."""
  bits = (keys + np.float32(0)).view(np.uint32)  # -0.0 becomes 0.0.
  bits = np.where(bits & _SIGN, ~bits, bits | _SIGN)
  return bits.astype(np.uint64) << _ROW_BITS | rows.astype(np.uint64)


def _keys(cells: np.ndarray) -> np.ndarray:
  """The keys in `_cells`."""
  bits = (cells >> _ROW_BITS).astype(np.uint32)
  return np.where(bits & _SIGN, bits & ~_SIGN, ~bits).view(np.float32)
