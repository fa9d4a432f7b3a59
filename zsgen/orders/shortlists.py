"""Shortlists: the best rows of each held-out example, without the N x M matrix.

One pass over the pool multiplies a block of rows at a time. For each held-out
example it keeps the rows that beat a bound: first that of a sample of the pool,
then the worst row kept so far, whenever a buffer is full. So nearly all rows
cost no more than a part in the maximum of a block.

A candidate is one uint64: the bits of its key, changed so that they sort like
the key, and below them its row. Comparing two candidates compares keys and then
rows, which is the rule for ties. Each of several processes takes a share of the
rows, and their candidates are merged, so that all of them have the same lists.
"""

from collections.abc import Callable, Sequence

import numpy as np

from zsgen.core import hosts
from zsgen.orders import embeddings, similarity

_EMPTY = np.uint64(2**64 - 1)
_ROW_BITS = np.uint64(32)
_SIGN = np.uint32(2**31)
# One of that many rows is in the sample.
_SAMPLED = 64
# Standard deviations by which a sample may have too many of an example's best
# rows, before its list must be made again.
_MARGIN = 5
# Larger files are read only once: they may not fit into the page cache.
_MOST_BYTES = 2**32


class Shortlist:
  """The `size` rows of smallest key of each held-out example, ascending.

  A key is -similarity for the nearest rows and similarity for the farthest;
  equal keys are sorted by row.

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
    # Keys that are not smaller are not added.
    self._bounds = np.full(examples, np.inf, np.float32)

  def limit(self, keys: np.ndarray) -> None:
    """Adds no row whose key is greater; lists may then have fewer rows.

    Args:
      keys: a key for each example, float32 [M].
    """
    # Above 0, the next float is so small that some code takes it for 0.
    least = np.finfo(np.float32).tiny
    self._bounds = np.maximum(
        np.nextafter(keys, np.float32(np.inf)), keys + least
    )

  def add(self, rows: np.ndarray, products: np.ndarray) -> None:
    """Adds a block; blocks must come by ascending row.

    Args:
      rows: rows of the pool, ascending, int [R].
      products: their similarities, float32 [M, R].
    """
    # Nearest: the same comparisons with both signs changed.
    bounds = self._bounds if self._is_farthest else -self._bounds
    is_better = np.less if self._is_farthest else np.greater
    best = (products.min if self._is_farthest else products.max)(axis=1)
    examples = np.flatnonzero(is_better(best, bounds))
    if not len(examples):
      return
    block = products.shape[1]
    similarities = products[examples]
    hits = np.flatnonzero(is_better(similarities, bounds[examples, None]))
    owners, columns = np.divmod(hits, block)
    counts = np.bincount(owners, minlength=len(examples))
    self._make_room(block)
    offsets = self._filled[examples] - (np.cumsum(counts) - counts)
    values = similarities.ravel()[hits]
    self._cells[examples[owners], offsets[owners] + np.arange(len(hits))] = (
        _cells(values if self._is_farthest else -values, rows[columns])
    )
    self._filled[examples] += counts
    self._shrink(min(self.size + block, 4 * self.size))

  def finish(self) -> None:
    """Sorts the rows; nothing can be added later."""
    self._shrink(self.size)
    self._replace(self._cells[:, : self.size])

  def merge(self) -> None:
    """Merges the finished lists of all processes."""
    self._replace(_gather(self._cells))

  def update(self, examples: np.ndarray, lists: "Shortlist") -> None:
    """Replaces the finished lists of some examples, int64 [m], by m others."""
    self._cells[examples] = lists._cells
    self._filled[examples] = lists._filled

  def extend(self, cells: np.ndarray) -> None:
    """Adds finished lists of other rows.

    Args:
      cells: their `cells`, uint64 [M, C].
    """
    self._replace(np.concatenate([self._cells, cells], axis=1))

  @property
  def cells(self) -> np.ndarray:
    """The candidates of finished lists, ascending, uint64 [M, K]."""
    return self._cells

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

  def _replace(self, cells: np.ndarray) -> None:
    """Keeps the best candidates of cells, uint64 [M, C], C at least K."""
    self._cells = np.sort(cells, axis=1)[:, : self.size]
    self._filled = np.count_nonzero(self._cells != _EMPTY, axis=1)

  def _make_room(self, block: int) -> None:
    """Makes sure that each example can take a block of rows."""
    # `add` leaves at most the size and a block.
    missing = self.size + 2 * block - self._cells.shape[1]
    if missing > 0:
      self._cells = np.pad(
          self._cells, ((0, 0), (0, missing)), constant_values=_EMPTY
      )

  def _shrink(self, most: int) -> None:
    """Keeps the best rows of lists with more than `most`, and lowers bounds."""
    for example in np.flatnonzero(self._filled > most):
      cells = self._cells[example, : self._filled[example]]
      cells.partition(self.size - 1)
      self._bounds[example] = _keys(cells[self.size - 1 : self.size])[0]
      self._filled[example] = self.size


# Makes a shortlist for each pick, as `make` does.
Make = Callable[
    [embeddings.Embeddings, embeddings.Embeddings, Sequence[str], int],
    list[Shortlist],
]


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
  first, vectors = _share(train)
  lists = make_part(vectors, heldout, picks, size, first)
  if hosts.is_distributed():
    for shortlist in lists:
      shortlist.merge()
  return lists


def make_part(
    vectors: embeddings.Embeddings,
    heldout: embeddings.Embeddings,
    picks: Sequence[str],
    size: int,
    first: int,
) -> list[Shortlist]:
  """Makes the shortlists of consecutive rows of a pool, in this process.

  Args:
    vectors: embeddings of these rows, [n, D].
    heldout: embeddings of the held-out set, [M, D].
    picks: a sequence of "nearest" and "farthest".
    size: number of rows per example; lists of fewer rows have all of them.
    first: the number of the first row.

  Returns:
    The shortlists, in the order of `picks`.
  """
  lists = [Shortlist(pick, len(heldout), size) for pick in picks]
  _limit(lists, vectors, heldout)
  _fill(lists, vectors, heldout, first)
  _complete(lists, vectors, heldout, first)
  return lists


def _share(train: embeddings.Embeddings) -> tuple[int, embeddings.Embeddings]:
  """Returns the first row of this process's share of a pool, and the share."""
  if not hosts.is_distributed():
    return 0, train
  borders = np.arange(hosts.count() + 1) * len(train) // hosts.count()
  first, beyond = borders[hosts.index() : hosts.index() + 2]
  return int(first), train.take(np.arange(first, beyond))


def _limit(
    lists: Sequence[Shortlist],
    vectors: embeddings.Embeddings,
    heldout: embeddings.Embeddings,
) -> None:
  """Limits lists to keys that a sample of the pool has about `size` times."""
  size = lists[0].size
  mean = size / _SAMPLED
  count = int(np.ceil(mean + _MARGIN * np.sqrt(mean) + _MARGIN))
  file = vectors.vectors
  is_large_file = isinstance(file, np.memmap) and file.nbytes > _MOST_BYTES
  if is_large_file or len(vectors) < 2 * _SAMPLED * count:
    return
  samples = [Shortlist(item.pick, len(heldout), count) for item in lists]
  sample = vectors.take(np.arange(0, len(vectors), _SAMPLED))
  _fill(samples, sample, heldout, 0)
  for shortlist, selected in zip(lists, samples, strict=True):
    shortlist.limit(selected.keys[:, -1])


def _fill(
    lists: Sequence[Shortlist],
    vectors: embeddings.Embeddings,
    heldout: embeddings.Embeddings,
    first: int,
) -> None:
  """Adds vectors to lists, whose rows are numbered from `first`, and finishes."""
  for rows, products in similarity.blocks(vectors, heldout):
    numbers = np.arange(first + rows.start, first + rows.stop)
    for shortlist in lists:
      shortlist.add(numbers, products)
  for shortlist in lists:
    shortlist.finish()


def _complete(
    lists: Sequence[Shortlist],
    vectors: embeddings.Embeddings,
    heldout: embeddings.Embeddings,
    first: int,
) -> None:
  """Makes lists again that a limit has left without `size` rows."""
  for shortlist in lists:
    size = min(shortlist.size, len(vectors))
    short = np.flatnonzero(shortlist.filled < size)
    if len(short):
      again = Shortlist(shortlist.pick, len(short), shortlist.size)
      _fill([again], vectors, heldout.take(short), first)
      shortlist.update(short, again)


def _gather(cells: np.ndarray) -> np.ndarray:
  """Returns the candidates of all processes, uint64 [M, P * K], from [M, K]
  each.
  """
  from jax.experimental import multihost_utils

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
