"""Distances of the prefixes of an order to held-out tasks (paper E3).

For a prefix P and the examples T of a task, with d the negative cosine or the
Euclidean distance: mean, minimum and maximum of d over all pairs of P and T,
and d of the two mean vectors (spec 2.3). Smaller is nearer. Takes one pass over
the training examples in blocks, with running values.
"""

import numpy as np

from zsgen.orders import embeddings, similarity


def distances(
    train: embeddings.Embeddings,
    heldout: embeddings.Embeddings,
    ends: np.ndarray,
    starts: np.ndarray,
) -> dict[str, np.ndarray]:
  """Returns eight distances of each prefix to each task.

  The cosine of two examples is their dot product, as in an order's distances:
  vectors have length 1 or slightly less. Mean vectors do not, so that their
  product is divided by their lengths.

  Args:
    train: training examples in their sequence, [n, D].
    heldout: held-out examples, task by task, [M, D].
    ends: the length of each prefix, ascending, the last one n, int64 [K].
    starts: the first held-out example of each task, ascending, int64 [T].

  Returns:
    Arrays, float64 [K, T], by name: cosine_avg, cosine_min and so on.
  """
  heldout_vectors = heldout.block(0, len(heldout))
  cosine, euclid, mean = _Running(starts), _Running(starts), _Mean(train.dim)
  for rows, products in similarity.blocks(train, heldout):
    block = train.block(rows.start, rows.stop)
    block_ends = ends[(ends > rows.start) & (ends <= rows.stop)] - rows.start
    cosine.add(-products, block_ends)
    euclid.add(_euclid(heldout_vectors, block, products), block_ends)
    mean.add(block, block_ends)
  sizes = np.diff([*starts, len(heldout)])
  results = {
      **_statistics("cosine", cosine, ends[:, None] * sizes),
      **_statistics("euclid", euclid, ends[:, None] * sizes),
  }
  means = (
      np.add.reduceat(heldout_vectors, starts, dtype=np.float64)
      / sizes[:, None]
  )
  squares = mean.squares(ends)[:, None], (means**2).sum(axis=1)
  # The product of two means is the mean of all products.
  products = -results["cosine_avg"]
  results["cosine_centroid"] = -products / np.sqrt(squares[0] * squares[1])
  results["euclid_centroid"] = np.sqrt(
      np.maximum(squares[0] + squares[1] - 2 * products, 0)
  )
  return results


class _Running:
  """Running sum, minimum and maximum by task."""

  def __init__(self, starts: np.ndarray):
    self._starts = starts
    # The current values, float64 [T], and those at the ends of prefixes.
    self._current = {
        np.add: np.zeros(len(starts)),
        np.minimum: np.full(len(starts), np.inf),
        np.maximum: np.full(len(starts), -np.inf),
    }
    self._results = {operation: [] for operation in self._current}

  def add(self, block: np.ndarray, ends: np.ndarray) -> None:
    """Adds values, float32 [M, rows]; prefixes end after `ends` rows."""
    for operation, start in self._current.items():
      values = operation.reduceat(block, self._starts, axis=0, dtype=np.float64)
      values[:, 0] = operation(values[:, 0], start)
      operation.accumulate(values, axis=1, out=values)
      self._current[operation] = values[:, -1].copy()
      self._results[operation].append(values[:, ends - 1].T)

  def at_ends(self) -> list[np.ndarray]:
    """Returns the sum, minimum and maximum of each prefix, each [K, T]."""
    return [np.concatenate(values) for values in self._results.values()]


class _Mean:
  """The running mean vector."""

  def __init__(self, dim: int):
    self._total = np.zeros(dim)
    self._squares = []

  def add(self, block: np.ndarray, ends: np.ndarray) -> None:
    """Adds vectors, float32 [rows, D]; prefixes end after `ends` rows."""
    begins = np.append(0, ends)
    # Rows after the last end belong to a prefix of the next block.
    begins = begins[begins < len(block)]
    totals = np.add.reduceat(block, begins, axis=0, dtype=np.float64)
    totals[0] += self._total
    np.add.accumulate(totals, axis=0, out=totals)
    self._total = totals[-1].copy()
    self._squares.append((totals[: len(ends)] ** 2).sum(axis=1))

  def squares(self, ends: np.ndarray) -> np.ndarray:
    """Returns the squared length of the mean of each prefix, float64 [K]."""
    return np.concatenate(self._squares) / ends.astype(np.float64) ** 2


def _statistics(
    name: str, running: _Running, pairs: np.ndarray
) -> dict[str, np.ndarray]:
  """Returns mean, minimum and maximum over pairs (counts, [K, T]), by name."""
  total, minimum, maximum = running.at_ends()
  return {
      f"{name}_avg": total / pairs,
      f"{name}_min": minimum,
      f"{name}_max": maximum,
  }


def _euclid(
    heldout: np.ndarray, train: np.ndarray, products: np.ndarray
) -> np.ndarray:
  """Returns distances [M, rows] of vectors [M, D] and [rows, D]."""
  squares = np.einsum("md,md->m", heldout, heldout)[:, None] - 2 * products
  squares += np.einsum("rd,rd->r", train, train)
  return np.sqrt(np.maximum(squares, 0, out=squares), out=squares)
