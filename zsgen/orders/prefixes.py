"""Distances of the prefixes of an order to held-out tasks (paper E3).

For a prefix P and the examples T of a task, d being the negative cosine or
the Euclidean distance: mean, smallest and largest d over all pairs of P and
T, and d of the two mean vectors (spec 2.3). Smaller is nearer. One pass over
the training examples, in blocks; only running values are kept.
"""

import numpy as np

from zsgen.orders import embeddings, similarity


def distances(
    train: embeddings.Embeddings,
    heldout: embeddings.Embeddings,
    ends: np.ndarray,
    starts: np.ndarray,
) -> dict[str, np.ndarray]:
  """Eight distances of each prefix to each task.

  The cosine of two examples is their dot product, as in an order's distances:
  vectors are of unit length, or a little less. Mean vectors are not, so that
  their cosine is divided by their lengths.

  Args:
    train: training examples in their sequence, [n, D].
    heldout: held-out examples, task by task, [M, D].
    ends: examples of each prefix, ascending, the last n, int64 [K].
    starts: the first held-out example of each task, ascending, int64 [T].

  Returns:
    float64 [K, T] each, by name: cosine_avg, cosine_min and so on.
  """
  looked_at = heldout.block(0, len(heldout))
  cosine, euclid, mean = _Running(starts), _Running(starts), _Mean(train.dim)
  for rows, products in similarity.blocks(train, heldout):
    block = train.block(rows.start, rows.stop)
    inside = ends[(ends > rows.start) & (ends <= rows.stop)] - rows.start
    cosine.add(-products, inside)
    euclid.add(_euclid(looked_at, block, products), inside)
    mean.add(block, inside)
  sizes = np.diff([*starts, len(heldout)])
  found = {
      **_named("cosine", cosine, ends[:, None] * sizes),
      **_named("euclid", euclid, ends[:, None] * sizes),
  }
  means = np.add.reduceat(looked_at, starts, dtype=np.float64) / sizes[:, None]
  squares = mean.squares(ends)[:, None], (means**2).sum(axis=1)
  # The product of two means is the mean of all products.
  products = -found["cosine_avg"]
  found["cosine_centroid"] = -products / np.sqrt(squares[0] * squares[1])
  found["euclid_centroid"] = np.sqrt(
      np.maximum(squares[0] + squares[1] - 2 * products, 0)
  )
  return found


class _Running:
  """Sum, minimum and maximum so far, task by task."""

  def __init__(self, starts: np.ndarray):
    self._starts = starts
    # Where each stands, float64 [T], and what it was at the ends of prefixes.
    self._last = {
        np.add: np.zeros(len(starts)),
        np.minimum: np.full(len(starts), np.inf),
        np.maximum: np.full(len(starts), -np.inf),
    }
    self._found = {each: [] for each in self._last}

  def add(self, block: np.ndarray, inside: np.ndarray) -> None:
    """Takes in float32 [M, rows]; prefixes end after `inside` rows of it."""
    for each, last in self._last.items():
      along = each.reduceat(block, self._starts, axis=0, dtype=np.float64)
      along[:, 0] = each(along[:, 0], last)
      each.accumulate(along, axis=1, out=along)
      self._last[each] = along[:, -1].copy()
      self._found[each].append(along[:, inside - 1].T)

  def at_ends(self) -> list[np.ndarray]:
    """Sum, minimum and maximum of each prefix, [K, T] each."""
    return [np.concatenate(found) for found in self._found.values()]


class _Mean:
  """The mean vector so far."""

  def __init__(self, dim: int):
    self._total = np.zeros(dim)
    self._squares = []

  def add(self, block: np.ndarray, inside: np.ndarray) -> None:
    """Takes in float32 [rows, D]; prefixes end after `inside` rows of it."""
    begins = np.append(0, inside)
    # What is behind the last end belongs to a prefix of the next block.
    begins = begins[begins < len(block)]
    totals = np.add.reduceat(block, begins, axis=0, dtype=np.float64)
    totals[0] += self._total
    np.add.accumulate(totals, axis=0, out=totals)
    self._total = totals[-1].copy()
    self._squares.append((totals[: len(inside)] ** 2).sum(axis=1))

  def squares(self, ends: np.ndarray) -> np.ndarray:
    """Squared length of the mean of each prefix, float64 [K]."""
    return np.concatenate(self._squares) / ends.astype(np.float64) ** 2


def _named(
    name: str, running: _Running, pairs: np.ndarray
) -> dict[str, np.ndarray]:
  """Mean, minimum and maximum over pairs (their number, [K, T]), named."""
  total, least, most = running.at_ends()
  return {
      f"{name}_avg": total / pairs,
      f"{name}_min": least,
      f"{name}_max": most,
  }


def _euclid(
    heldout: np.ndarray, train: np.ndarray, products: np.ndarray
) -> np.ndarray:
  """Distances [M, rows] of vectors [M, D] and [rows, D] with these products."""
  squares = np.einsum("md,md->m", heldout, heldout)[:, None] - 2 * products
  squares += np.einsum("rd,rd->r", train, train)
  return np.sqrt(np.maximum(squares, 0, out=squares), out=squares)
