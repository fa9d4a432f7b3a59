"""Distances of training examples to a held-out set (2406.11721, spec 2.3, 2.4).

Smaller is nearer. For a training row x and held-out examples y:

  cosine_avg, cosine_min, cosine_max   mean, minimum and maximum of -cos(x, y)
  cosine_centroid                      -cos(x, mean of y)
  euclid_avg, …, euclid_centroid       the same for |x - y|
  wsd                                  cosine_min + w cosine_avg, where w gives
                                       both terms the same mean over x
  bigram_kl, bigram_kl_multiset        see `zsgen.orders.bigrams`

Vectors are on the grid, so that all sums are exact in float64 and the results
have the same bits on every machine.
"""

from collections.abc import Callable
import functools
import math
from typing import Any

import numpy as np

from zsgen.core import errors
from zsgen.orders import bigrams, cosines, embeddings, similarity
from zsgen.orders import pool as pool_lib

# Largest mean of cosine_avg for which the weight of WSD is meaningful.
_FLAT = -1e-3
# Euclidean distances are summed as multiples of this.
_STEP = 2.0**-32

# Distances to a held-out set (2406.11721, spec 2.3), the paper's nine.
PAPERS = (
    *(f"cosine_{kind}" for kind in ("avg", "min", "max", "centroid")),
    *(f"euclid_{kind}" for kind in ("avg", "min", "max", "centroid")),
    "bigram_kl",
)
# Measures of texts, which need no embedder.
OF_TEXTS = ("bigram_kl", "bigram_kl_multiset")

Measured = tuple[np.ndarray, dict[str, Any]]


def measure(name: str, pool: pool_lib.Pool, cosine: str = "grid") -> Measured:
  """Measures every row of a pool.

  Args:
    name: a measure of the list above.
    pool: rows with embeddings or, for bigrams, with texts.
    cosine: "exact" for cosines in float64 (of those in `EXACT`) instead of dot
      products of vectors on the grid.

  Returns:
    The measure, float64 [N], and notes for the manifest.

  Raises:
    InputError: there are no embeddings, or WSD has no weight.
  """
  return (EXACT if cosine == "exact" else MEASURES)[name](pool)


def _exact_cosines(pool: pool_lib.Pool) -> tuple[np.ndarray, ...]:
  """Returns the mean, minimum and maximum of -cos of each row, float64 [N]."""
  train, heldout = pool.embedded()
  mean, least, largest = np.empty((3, len(train)))
  for rows, values in cosines.blocks(train, heldout):
    # Multiples of a step, so that their sum is exact.
    mean[rows] = -np.round(values / _STEP).sum(axis=0) * _STEP / len(heldout)
    least[rows], largest[rows] = -values.max(axis=0), -values.min(axis=0)
  return mean, least, largest


def _exact(index: int, pool: pool_lib.Pool) -> Measured:
  return _exact_cosines(pool)[index], {}


def _exact_wsd(pool: pool_lib.Pool) -> Measured:
  mean, least, _ = _exact_cosines(pool)
  # An exact sum: the elements are multiples of a step over the same number.
  return _weigh(least, mean, math.fsum(mean) / len(mean))


def _cosine(kind: str, pool: pool_lib.Pool) -> Measured:
  train, heldout = pool.embedded()
  return _COSINES[kind](train, heldout), {}


def _average(
    train: embeddings.Embeddings, heldout: embeddings.Embeddings
) -> np.ndarray:
  return -_products(train, _sum(heldout)) / len(heldout)


def _least(
    train: embeddings.Embeddings, heldout: embeddings.Embeddings
) -> np.ndarray:
  return -similarity.nearest_similarity(train, heldout).astype(np.float64)


def _largest(
    train: embeddings.Embeddings, heldout: embeddings.Embeddings
) -> np.ndarray:
  """Returns minus the smallest product with a held-out vector."""
  worst = np.empty(len(train))
  for rows, products in similarity.blocks(train, heldout):
    worst[rows] = products.min(axis=0)
  return -worst


def _centroid(
    train: embeddings.Embeddings, heldout: embeddings.Embeddings
) -> np.ndarray:
  """Returns minus the cosine with the mean held-out vector."""
  total = _sum(heldout)
  length = np.sqrt(total @ total)
  return -_products(train, total) / (
      np.sqrt(similarity.squares(train)) * length
  )


_COSINES = {
    "avg": _average,
    "min": _least,
    "max": _largest,
    "centroid": _centroid,
}


def _euclid(kind: str, pool: pool_lib.Pool) -> Measured:
  """Returns Euclidean distances to the held-out vectors, on a grid."""
  train, heldout = pool.embedded()
  if kind == "centroid":
    return _euclid_centroid(train, heldout), {}
  values = np.empty(len(train))
  for rows, distances in similarity.distances(train, heldout):
    if kind == "avg":
      steps = np.round(distances / _STEP).sum(axis=0)
      values[rows] = steps * _STEP / len(heldout)
    else:
      values[rows] = getattr(distances, kind)(axis=0)
  return values, {}


def _euclid_centroid(
    train: embeddings.Embeddings, heldout: embeddings.Embeddings
) -> np.ndarray:
  """Returns Euclidean distances to the mean held-out vector."""
  total, size = _sum(heldout), len(heldout)
  # size times the difference is a multiple of the grid, and so exact.
  squared = size**2 * similarity.squares(train) - 2 * size * _products(
      train, total
  )
  return np.sqrt(np.maximum(squared + total @ total, 0)) / size


def _wsd(pool: pool_lib.Pool) -> Measured:
  """Returns WSD with the weight that the data determines (spec 2.4)."""
  train, heldout = pool.embedded()
  nearest, total = _least(train, heldout), _products(train, _sum(heldout))
  mean = -total.sum() / len(heldout) / len(train)
  return _weigh(nearest, -total / len(heldout), mean)


def _weigh(nearest: np.ndarray, average: np.ndarray, mean: float) -> Measured:
  """Returns WSD of cosine_min and cosine_avg, and its weight.

  Args:
    nearest: cosine_min of each row, float64 [N].
    average: cosine_avg of each row, float64 [N].
    mean: the mean of cosine_avg.
  """
  if mean > _FLAT:
    raise errors.InputError(
        "config.order.measure='wsd' weighs two terms by the ratio of their"
        f" means, but the mean of cosine_avg is {mean:.2g}, too close to 0: the"
        " weight would be meaningless. Use 'cosine_min', or another embedder."
    )
  weight = math.fsum(nearest) / len(nearest) / mean
  return nearest + weight * average, dict(wsd_weight=float(weight))


def _bigram_kl(released: bool, pool: pool_lib.Pool) -> Measured:
  """Returns KL divergences of bigrams, rounded to nine decimals."""
  counts = bigrams.Bigrams.count(*pool.texts())
  kl = bigrams.example_kl(counts, weighted=released)
  # The last bit of logarithms differs between machines.
  notes = dict(without_bigram=bigrams.count_without_bigrams(counts.train))
  return np.round(kl, 9), notes


def _sum(vectors: embeddings.Embeddings) -> np.ndarray:
  """Returns the sum of all vectors, float64 [D]."""
  total = np.zeros(vectors.dim)
  for _, block in vectors.blocks():
    total += block.sum(axis=0, dtype=np.float64)
  return total


def _products(vectors: embeddings.Embeddings, vector: np.ndarray) -> np.ndarray:
  """Returns the dot product of each vector with another one, float64 [n]."""
  products = [
      block.astype(np.float64) @ vector for _, block in vectors.blocks()
  ]
  return np.concatenate(products)


MEASURES: dict[str, Callable[[pool_lib.Pool], Measured]] = {
    "wsd": _wsd,
    **{f"cosine_{kind}": functools.partial(_cosine, kind) for kind in _COSINES},
    **{f"euclid_{kind}": functools.partial(_euclid, kind) for kind in _COSINES},
    "bigram_kl": functools.partial(_bigram_kl, False),
    "bigram_kl_multiset": functools.partial(_bigram_kl, True),
}
# Measures that `cosine="exact"` changes.
EXACT: dict[str, Callable[[pool_lib.Pool], Measured]] = {
    "wsd": _exact_wsd,
    "cosine_avg": functools.partial(_exact, 0),
    "cosine_min": functools.partial(_exact, 1),
    "cosine_max": functools.partial(_exact, 2),
}
