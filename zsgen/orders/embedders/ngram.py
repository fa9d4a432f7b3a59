"""N-gram embeddings: hashed words and pairs of words, tf-idf; no weights.

Orders must be the same bytes on every machine, and equal texts exact ties. So the
vectors are on the grid (`zsgen.orders.grid`), and their computation is exact too:
integer counts times idf, which is rounded to a multiple of 2**-10 because the last
bit of logarithms differs between machines, then one square root and one division,
which IEEE 754 rounds the same way everywhere.
"""

from collections.abc import Callable, Iterable, Iterator
import dataclasses
import functools
import itertools
import pathlib
import re
from typing import Any
import zlib

import numpy as np
import scipy.sparse

from zsgen.core import registry
from zsgen.orders import grid, sparse
from zsgen.orders.embedders import encoded

# Runs of letters and digits, and single punctuation marks.
_WORD = re.compile(r"\w+|[^\w\s]")
_IDF_GRID = 2**10
# Number of texts whose codes are in memory at the same time.
_BATCH = 2048


@dataclasses.dataclass(frozen=True)
class Ngram:
  """Signed hashing of word uni- and bigrams, tf-idf, length 1.

  Its fields are its parameters, and part of the origin of an artifact.
  """

  # Length of a vector: a power of two, at most 2**31.
  dimensions: int = 4096

  def parameters(self) -> dict[str, Any]:
    """See `embedders.Embedder`."""
    return dataclasses.asdict(self)

  def embed(
      self,
      texts: Iterable[str],
      training: np.ndarray,
      partial: pathlib.Path | None = None,
      log: Callable[[str], None] | None = None,
  ) -> encoded.Encoded:
    """Embeds texts.

    Args:
      texts: N texts.
      training: which of them idf is computed from, bool [N].
      partial: unused, because this is fast.
      log: unused.

    Returns:
      Vectors, sparse float32 [N, dimensions], of norm at most 1; zero for texts
      without words.
    """
    del partial, log
    counts = sparse.stack([self._counts(batch) for batch in _batches(texts)])
    weights = idf(counts[training])
    starts = range(0, len(training), _BATCH)
    units = [_unit(counts[i : i + _BATCH], weights) for i in starts]
    return encoded.Encoded(sparse.stack(units))

  def _counts(self, texts: list[str]) -> scipy.sparse.csr_array:
    """Returns the sums of the signs of each text's features, int32 [n,
    dimensions].
    """
    codes = [np.fromiter(_codes(text), np.uint32) for text in texts]
    rows = np.repeat(
        np.arange(len(codes)), [len(text_codes) for text_codes in codes]
    )
    flat = np.concatenate(codes)
    # Index and sign use bits that are far apart.
    columns = (flat & np.uint32(self.dimensions - 1)).astype(np.int32)
    signs = 1 - 2 * (flat >> np.uint32(31)).astype(np.int32)
    shape = (len(codes), self.dimensions)
    counts = scipy.sparse.coo_array((signs, (rows, columns)), shape).tocsr()
    counts.eliminate_zeros()
    return counts


@registry.embedder("ngram")
def build(options: registry.NoOptions) -> Ngram:
  """Returns the embedder."""
  del options
  return Ngram()


def idf(counts: scipy.sparse.csr_array) -> np.ndarray:
  """Returns the smooth inverse document frequency in units of 2**-10, float64
  [D].
  """
  size, dimensions = sparse.shape_of(counts)
  frequency = np.bincount(counts.indices, minlength=dimensions)
  values = np.log((1 + size) / (1 + frequency)) + 1
  return np.round(values * _IDF_GRID)


def _unit(
    counts: scipy.sparse.csr_array, weights: np.ndarray
) -> scipy.sparse.csr_array:
  """Returns unit vectors of counts x weights, truncated to the grid."""
  lengths = np.diff(counts.indptr)
  rows = np.repeat(np.arange(len(lengths)), lengths)
  values = counts.data * weights[counts.indices]
  norms = np.sqrt(np.bincount(rows, values**2, len(lengths)))
  # In float64, so not `grid.snap`: values / norms would round first.
  cells = np.trunc(values * grid.CELLS / norms[rows])
  snapped = (cells / grid.CELLS).astype(np.float32)
  unit = scipy.sparse.csr_array(
      (snapped, counts.indices, counts.indptr), counts.shape
  )
  unit.eliminate_zeros()
  return unit


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
  texts = iter(texts)
  while batch := list(itertools.islice(texts, _BATCH)):
    yield batch


def _codes(text: str) -> Iterator[int]:
  """Yields the CRC-32 of each word and of each pair of adjacent words."""
  words = [_word(word) for word in _WORD.findall(text.lower())]
  for code, _ in words:
    yield code
  for (code, _), (_, follower) in itertools.pairwise(words):
    yield zlib.crc32(follower, code)


@functools.lru_cache(2**20)
def _word(word: str) -> tuple[int, bytes]:
  """Returns the CRC-32 of a word, and the bytes that continue a bigram with it."""
  data = word.encode()
  return zlib.crc32(data), b" " + data
