"""Bigrams of words, and KL divergences between their frequencies.

Words are what `str.split` gives, case kept (paper E3, spec 2.3). For training
text with frequencies p, and held-out text with frequencies q,

  KL = sum over g of m(g) p(g) ln(p(g) / (q(g) + 1e-10)),

in nats. Over the set of bigrams m is 1. The paper's released code sums over
the list of all bigrams of training and held-out texts, repeats kept, so that
m(g) is how often g is in it: "weighted" here, with values in the thousands.
It also raises the ratio to 1e-10 at least, which no frequency in fewer than
10**10 words is below; where p(g) is 0 the term is 0 with and without it.
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

# Added to held-out frequencies: the logarithm of an unseen bigram is finite.
_SMALL = 1e-10


@dataclasses.dataclass(frozen=True)
class Bigrams:
  """How often each text has each of V distinct bigrams.

  Attributes:
    train: counts of training texts, int32 [N, V].
    heldout: counts of held-out texts, int32 [M, V].
  """

  train: scipy.sparse.csr_array
  heldout: scipy.sparse.csr_array

  @classmethod
  def of(cls, train: Iterable[str], heldout: Iterable[str]) -> "Bigrams":
    """Counts the bigrams of N training and M held-out texts.

    A text of fewer than two words has none: its row is empty.
    """
    # Words are numbered as they come: the same texts give the same codes.
    words = collections.defaultdict(itertools.count().__next__)
    (first, pairs_a), (second, pairs_b) = (
        _pairs(texts, words) for texts in (train, heldout)
    )
    known, codes = np.unique(
        np.concatenate([pairs_a, pairs_b]), return_inverse=True
    )
    codes = codes.astype(np.int32)
    return cls(
        _counts(codes[: len(pairs_a)], first, len(known)),
        _counts(codes[len(pairs_a) :], second, len(known)),
    )

  @functools.cached_property
  def weights(self) -> np.ndarray:
    """How often each bigram is in all texts together, float64 [V]."""
    return self.train.sum(axis=0) + self.heldout.sum(axis=0, dtype=np.float64)


def without(counts: scipy.sparse.csr_array) -> int:
  """Number of texts, rows of [n, V], that have no bigram."""
  return int((np.diff(counts.indptr) == 0).sum())


def example_kl(bigrams: Bigrams, weighted: bool) -> np.ndarray:
  """KL of each training text to all held-out texts together.

  Args:
    bigrams: of N training texts and of the held-out texts.
    weighted: as the released code does, see above.

  Returns:
    float64 [N]; infinite (farther than any other) for a text without bigram.

  Raises:
    InputError: no held-out text has a bigram.
  """
  counts = bigrams.train
  seen = bigrams.heldout.sum(axis=0, dtype=np.float64)
  if not seen.any():
    raise errors.InputError(
        "bigram KL: no held-out text has two words, so nothing can be compared"
        " with it. Use another measure, or another config.order.text."
    )
  sizes = counts.sum(axis=1, dtype=np.float64)
  rows = _rows(counts)
  share = counts.data / sizes[rows]
  logs = np.log(seen / seen.sum() + _SMALL)
  terms = share * (np.log(share) - logs[counts.indices])
  if weighted:
    terms *= bigrams.weights[counts.indices]
  return np.where(sizes > 0, np.bincount(rows, terms, len(sizes)), np.inf)


def prefix_kl(
    bigrams: Bigrams, rows: np.ndarray, ends: np.ndarray, starts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """KL of each prefix of a sequence of training texts to each task.

  With c(g) the counts of a prefix of n bigrams, sum p ln p is
  sum c ln c / n - ln n. Only the bigrams that are new in a prefix change
  sum c ln c, and sum c ln(q + 1e-10) is linear in c: both are running sums.

  Args:
    bigrams: of training texts and of M held-out texts, task by task.
    rows: training texts in their sequence, int64 [n]; one may come again.
    ends: how many of them each prefix has, ascending, int64 [K].
    starts: the first held-out text of each task, ascending, int64 [T].

  Returns:
    float64 [K, T] over the set of bigrams, and weighted as the released code
    does. NaN where the prefix or the task has no bigram.
  """
  new = _sums(bigrams.train[rows], np.array([0, *ends]))
  tasks = _sums(bigrams.heldout, np.array([*starts, bigrams.heldout.shape[0]]))
  sizes = new.sum(axis=1, dtype=np.float64).cumsum()
  sizes[sizes == 0] = np.nan
  gains = _gains(tasks)
  undefined = np.diff(tasks.indptr) == 0
  found = []
  for weights in (np.ones(new.shape[1]), bigrams.weights):
    weighted = _with_data(new, new.data * weights[new.indices])
    total = weighted.sum(axis=1).cumsum()
    fixed = _growth(new, weights).cumsum() - total * (
        np.log(sizes) + np.log(_SMALL)
    )
    shared = (weighted @ gains.T).toarray().cumsum(axis=0)
    kl = (fixed[:, None] - shared) / sizes[:, None]
    kl[:, undefined] = np.nan
    found.append(kl)
  return found[0], found[1]


def _pairs(
    texts: Iterable[str], words: collections.defaultdict[str, int]
) -> tuple[np.ndarray, np.ndarray]:
  """Bigrams of each text, int64 [n], and all of them, int64, as codes."""
  numbered = [
      np.fromiter(map(words.__getitem__, text.split()), np.int32)
      for text in texts
  ]
  lengths = np.array([len(each) for each in numbered])
  flat = np.concatenate([*numbered, np.zeros(1, np.int32)])
  # A pair begins at each word but the last of its text.
  begins = np.ones(len(flat), bool)
  begins[np.append(lengths.cumsum()[lengths > 0] - 1, -1)] = False
  at = np.flatnonzero(begins)
  codes = (flat[at].astype(np.int64) << 32) | flat[at + 1]
  return np.maximum(lengths - 1, 0), codes


def _counts(
    codes: np.ndarray, sizes: np.ndarray, distinct: int
) -> scipy.sparse.csr_array:
  """Counts of each text, [n, V], from codes that stand text by text."""
  offsets = np.append(0, np.cumsum(sizes))
  counts = scipy.sparse.csr_array(
      (np.ones(len(codes), np.int32), codes, offsets), (len(sizes), distinct)
  )
  counts.sum_duplicates()
  return counts


def _with_data(
    counts: scipy.sparse.csr_array, data: np.ndarray
) -> scipy.sparse.csr_array:
  """Other values at the same places."""
  return scipy.sparse.csr_array(
      (data, counts.indices, counts.indptr), counts.shape
  )


def _rows(counts: scipy.sparse.csr_array) -> np.ndarray:
  """Row of each entry."""
  return np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))


def _sums(
    counts: scipy.sparse.csr_array, bounds: np.ndarray
) -> scipy.sparse.csr_array:
  """Sums of the rows between each two bounds, [len(bounds) - 1, V]."""
  size = bounds[-1]
  members = scipy.sparse.csr_array(
      (np.ones(size, np.int32), np.arange(size), bounds),
      (len(bounds) - 1, counts.shape[0]),
  )
  return members @ counts


def _gains(tasks: scipy.sparse.csr_array) -> scipy.sparse.csr_array:
  """ln(q + 1e-10) - ln(1e-10), which is 0 where q is; float64 [T, V]."""
  sizes = tasks.sum(axis=1, dtype=np.float64)
  shares = tasks.data / sizes[_rows(tasks)]
  return _with_data(tasks, np.log(shares + _SMALL) - np.log(_SMALL))


def _growth(new: scipy.sparse.csr_array, weights: np.ndarray) -> np.ndarray:
  """How much each row of counts adds to sum m c ln c, float64 [K]."""
  by_bigram = new.tocsc()
  counts = by_bigram.data.astype(np.int64)
  columns = np.repeat(np.arange(new.shape[1]), np.diff(by_bigram.indptr))
  # Counts before and after, from sums that run through all bigrams.
  running = np.append(0, counts.cumsum())
  before = running[:-1] - running[by_bigram.indptr[columns]]
  after = before + counts
  added = scipy.special.xlogy(after, after)
  added -= scipy.special.xlogy(before, before)
  return np.bincount(by_bigram.indices, added * weights[columns], new.shape[0])
