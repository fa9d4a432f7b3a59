"""Bigrams of words, and KL divergences between their frequencies.

Words are the results of `str.split`, with their case (paper E3, spec 2.3). For
training text with frequencies p and held-out text with frequencies q,

  KL = sum over g of m(g) p(g) ln(p(g) / (q(g) + 1e-10)),

in nats. For the set of bigrams, m is 1. The paper's released code sums over the
list of all bigrams of training and held-out texts, with repeats, so that m(g)
is the number of occurrences of g: this is called "weighted" here, and has
values in the thousands. The released code also clips the ratio to at least
1e-10, which has no effect for fewer than 10**10 words; if p(g) is 0, the term
is 0 anyway.
"""

import collections
from collections.abc import Iterable
import dataclasses
import functools
import itertools

import numpy as np
import scipy.sparse
import scipy.special

from zsgen.core import errors
from zsgen.orders import sparse

# Added to held-out frequencies, so that the logarithm of an unseen bigram is
# finite.
_SMALL = 1e-10


@dataclasses.dataclass(frozen=True)
class Bigrams:
  """The number of occurrences of V distinct bigrams in each text.

  Attributes:
    train: counts of training texts, int32 [N, V].
    heldout: counts of held-out texts, int32 [M, V].
  """

  train: scipy.sparse.csr_array
  heldout: scipy.sparse.csr_array

  @classmethod
  def count(cls, train: Iterable[str], heldout: Iterable[str]) -> "Bigrams":
    """Counts the bigrams of N training and M held-out texts.

    A text of fewer than two words has no bigrams: its row is empty.
    """
    # Words are numbered in order of appearance, so codes are deterministic.
    words = collections.defaultdict(itertools.count().__next__)
    (train_sizes, pairs_a), (heldout_sizes, pairs_b) = (
        _pairs(texts, words) for texts in (train, heldout)
    )
    distinct, codes = np.unique(
        np.concatenate([pairs_a, pairs_b]), return_inverse=True
    )
    codes = codes.astype(np.int32)
    return cls(
        _counts(codes[: len(pairs_a)], train_sizes, len(distinct)),
        _counts(codes[len(pairs_a) :], heldout_sizes, len(distinct)),
    )

  @functools.cached_property
  def weights(self) -> np.ndarray:
    """The number of occurrences of each bigram in all texts, float64 [V]."""
    return self.train.sum(axis=0) + self.heldout.sum(axis=0, dtype=np.float64)


def count_without_bigrams(counts: scipy.sparse.csr_array) -> int:
  """Returns the number of texts, rows of [n, V], without bigrams."""
  return int((np.diff(counts.indptr) == 0).sum())


def example_kl(bigrams: Bigrams, weighted: bool) -> np.ndarray:
  """Returns the KL of each training text to all held-out texts together.

  Args:
    bigrams: bigrams of N training texts and of the held-out texts.
    weighted: whether to weight like the released code, see above.

  Returns:
    float64 [N]; infinite for texts without bigrams.

  Raises:
    InputError: no held-out text has a bigram.
  """
  counts = bigrams.train
  heldout_counts = bigrams.heldout.sum(axis=0, dtype=np.float64)
  if not heldout_counts.any():
    raise errors.InputError(
        "bigram KL: no held-out text has two words, so there is nothing to compare"
        " with. Use another measure, or another config.order.text."
    )
  sizes = counts.sum(axis=1, dtype=np.float64)
  rows = _rows(counts)
  share = counts.data / sizes[rows]
  logs = np.log(heldout_counts / heldout_counts.sum() + _SMALL)
  terms = share * (np.log(share) - logs[counts.indices])
  if weighted:
    terms *= bigrams.weights[counts.indices]
  return np.where(sizes > 0, np.bincount(rows, terms, len(sizes)), np.inf)


def prefix_kl(
    bigrams: Bigrams, rows: np.ndarray, ends: np.ndarray, starts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Returns the KL of each prefix of a sequence of training texts to each task.

  With c(g) the counts of a prefix of n bigrams, sum p ln p is
  sum c ln c / n - ln n. Only new bigrams of a prefix change sum c ln c, and
  sum c ln(q + 1e-10) is linear in c, so that both are running sums.

  Args:
    bigrams: bigrams of training texts and of M held-out texts, task by task.
    rows: training texts in their sequence, int64 [n]; may have repeats.
    ends: the length of each prefix, ascending, int64 [K].
    starts: the first held-out text of each task, ascending, int64 [T].

  Returns:
    float64 [K, T] over the set of bigrams, and weighted like the released code.
    NaN where the prefix or the task has no bigrams.
  """
  new = _sums(bigrams.train[rows], np.array([0, *ends]))
  tasks = _sums(
      bigrams.heldout, np.array([*starts, sparse.shape_of(bigrams.heldout)[0]])
  )
  sizes = new.sum(axis=1, dtype=np.float64).cumsum()
  sizes[sizes == 0] = np.nan
  gains = _gains(tasks)
  undefined = np.diff(tasks.indptr) == 0
  results = []
  for weights in (np.ones(sparse.shape_of(new)[1]), bigrams.weights):
    weighted = _with_data(new, new.data * weights[new.indices])
    total = weighted.sum(axis=1).cumsum()
    fixed = _growth(new, weights).cumsum() - total * (
        np.log(sizes) + np.log(_SMALL)
    )
    shared = (weighted @ gains.T).toarray().cumsum(axis=0)
    kl = (fixed[:, None] - shared) / sizes[:, None]
    kl[:, undefined] = np.nan
    results.append(kl)
  return results[0], results[1]


def _pairs(
    texts: Iterable[str], words: collections.defaultdict[str, int]
) -> tuple[np.ndarray, np.ndarray]:
  """Returns the bigrams of each text, int64 [n], and all their codes, int64."""
  numbered = [
      np.fromiter(map(words.__getitem__, text.split()), np.int32)
      for text in texts
  ]
  lengths = np.array([len(codes) for codes in numbered])
  flat = np.concatenate([*numbered, np.zeros(1, np.int32)])
  # A pair begins at each word except the last one of a text.
  begins = np.ones(len(flat), bool)
  begins[np.append(lengths.cumsum()[lengths > 0] - 1, -1)] = False
  positions = np.flatnonzero(begins)
  codes = (flat[positions].astype(np.int64) << 32) | flat[positions + 1]
  return np.maximum(lengths - 1, 0), codes


def _counts(
    codes: np.ndarray, sizes: np.ndarray, distinct: int
) -> scipy.sparse.csr_array:
  """Returns counts per text, [n, V], of codes that are sorted by text."""
  offsets = np.append(0, np.cumsum(sizes))
  counts = scipy.sparse.csr_array(
      (np.ones(len(codes), np.int32), codes, offsets), (len(sizes), distinct)
  )
  counts.sum_duplicates()
  return counts


def _with_data(
    counts: scipy.sparse.csr_array, data: np.ndarray
) -> scipy.sparse.csr_array:
  """Returns a matrix with other values at the same positions."""
  return scipy.sparse.csr_array(
      (data, counts.indices, counts.indptr), counts.shape
  )


def _rows(counts: scipy.sparse.csr_array) -> np.ndarray:
  """Returns the row of each entry."""
  return np.repeat(
      np.arange(sparse.shape_of(counts)[0]), np.diff(counts.indptr)
  )


def _sums(
    counts: scipy.sparse.csr_array, bounds: np.ndarray
) -> scipy.sparse.csr_array:
  """Returns the sums of rows between successive bounds, [len(bounds) - 1, V]."""
  size = bounds[-1]
  members = scipy.sparse.csr_array(
      (np.ones(size, np.int32), np.arange(size), bounds),
      (len(bounds) - 1, sparse.shape_of(counts)[0]),
  )
  return members @ counts


def _gains(tasks: scipy.sparse.csr_array) -> scipy.sparse.csr_array:
  """Returns ln(q + 1e-10) - ln(1e-10), which is 0 if q is 0; float64 [T, V]."""
  sizes = tasks.sum(axis=1, dtype=np.float64)
  shares = tasks.data / sizes[_rows(tasks)]
  return _with_data(tasks, np.log(shares + _SMALL) - np.log(_SMALL))


def _growth(new: scipy.sparse.csr_array, weights: np.ndarray) -> np.ndarray:
  """Returns what each row of counts adds to sum m c ln c, float64 [K]."""
  by_bigram = new.tocsc()
  counts = by_bigram.data.astype(np.int64)
  rows_count, columns_count = sparse.shape_of(new)
  columns = np.repeat(np.arange(columns_count), np.diff(by_bigram.indptr))
  # Counts before and after each row, from running sums over all bigrams.
  running = np.append(0, counts.cumsum())
  before = running[:-1] - running[by_bigram.indptr[columns]]
  after = before + counts
  added = scipy.special.xlogy(after, after)
  added -= scipy.special.xlogy(before, before)
  return np.bincount(by_bigram.indices, added * weights[columns], rows_count)
