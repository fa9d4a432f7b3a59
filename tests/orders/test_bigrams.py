"""Bigrams: counts, and KL divergences against the formula written out."""

import collections
import itertools
import math

import numpy as np
import pytest

from zsgen.core import errors
from zsgen.orders import bigrams

WORDS = ["a", "A", "b", "c,", "d"]


def _counter(*texts):
  counts = collections.Counter()
  for text in texts:
    words = text.split()
    counts.update(itertools.pairwise(words))
  return counts


def _kl(train, heldout, weights):
  """KL of two lists of texts; bigrams are weighted by `weights`."""
  p, q = _counter(*train), _counter(*heldout)
  total = 0.0
  for bigram, weight in weights.items():
    share = p[bigram] / p.total()
    if share:
      ratio = share / (q[bigram] / q.total() + 1e-10)
      total += weight * share * math.log(max(ratio, 1e-10))
  return total


def _texts(count, seed, least=2):
  rng = np.random.default_rng(seed)
  return [
      " ".join(rng.choice(WORDS, size))
      for size in rng.integers(least, 12, count)
  ]


def test_counts_are_of_neighbours_inside_a_text():
  actual = bigrams.Bigrams.count(["a b  a\nb", "", "b", "A b"], ["b a", "c"])
  dense = actual.train.toarray()
  assert dense.dtype == np.int32
  assert dense.sum(axis=1).tolist() == [3, 0, 0, 1]
  assert sorted(dense[0].tolist()) == [0, 1, 2]  # (a b) twice, (b a) once.
  (shared,) = np.flatnonzero(actual.heldout.toarray()[0])
  assert dense[0, shared] == 1  # (b a): it is one code on both sides.
  assert bigrams.count_without_bigrams(actual.train) == 2
  assert bigrams.count_without_bigrams(actual.heldout) == 1
  assert actual.weights.sum() == 5


def test_the_same_texts_give_the_same_codes():
  first, second = (
      bigrams.Bigrams.count(iter(_texts(20, 0)), _texts(5, 1)) for _ in range(2)
  )
  assert (first.train != second.train).nnz == 0
  assert (first.heldout != second.heldout).nnz == 0


@pytest.mark.parametrize("weighted", [False, True])
def test_example_kl_is_the_formula(weighted):
  train, heldout = _texts(30, 0), _texts(6, 1)
  actual = bigrams.example_kl(bigrams.Bigrams.count(train, heldout), weighted)
  every = _counter(*train, *heldout)
  weights = every if weighted else dict.fromkeys(every, 1)
  expected = [_kl([text], heldout, weights) for text in train]
  np.testing.assert_allclose(actual, expected, rtol=1e-9)


def test_example_kl_is_least_for_the_same_text():
  actual = bigrams.Bigrams.count(["a b a", "a b", "d d", "d"], ["a b a"])
  kl = bigrams.example_kl(actual, False)
  assert kl[0] == pytest.approx(0, abs=1e-8)
  assert kl.argsort(kind="stable").tolist() == [0, 1, 2, 3]
  assert np.isposinf(kl[3])  # Without a bigram: farther than any other.


def test_example_kl_needs_a_heldout_bigram():
  with pytest.raises(errors.InputError, match="no held-out text has two words"):
    bigrams.example_kl(bigrams.Bigrams.count(["a b"], ["a", ""]), False)


def test_prefix_kl_is_the_formula_for_every_prefix():
  train, heldout = _texts(23, 2), _texts(9, 3)
  # Some examples come again, as in a second epoch.
  rows = np.append(np.random.default_rng(4).permutation(23), [3, 3, 8])
  ends = np.array([1, 2, 7, 8, 20, 26])
  starts = np.array([0, 1, 5])
  actual = bigrams.prefix_kl(
      bigrams.Bigrams.count(train, heldout), rows, ends, starts
  )
  every = _counter(*train, *heldout)
  tasks = [heldout[0:1], heldout[1:5], heldout[5:]]
  for measured, weights in zip(
      actual, (dict.fromkeys(every, 1), every), strict=True
  ):
    expected = [
        [
            _kl([train[row] for row in rows[:end]], task, weights)
            for task in tasks
        ]
        for end in ends
    ]
    np.testing.assert_allclose(measured, expected, rtol=1e-9)


def test_prefix_kl_is_nan_where_it_is_undefined():
  actual = bigrams.Bigrams.count(["a", "a b", "b c"], ["a b", "c", "b"])
  for kl in bigrams.prefix_kl(
      actual, np.arange(3), np.array([1, 2, 3]), np.array([0, 1])
  ):
    assert np.isnan(kl[0]).all()  # No bigram in the first prefix,
    assert np.isnan(kl[:, 1]).all()  # nor in the second task.
    assert np.isfinite(kl[1:, 0]).all()


def test_texts_without_any_bigram_are_no_error():
  actual = bigrams.Bigrams.count(["a", ""], ["b"])
  kl, _ = bigrams.prefix_kl(actual, np.arange(2), np.array([2]), np.array([0]))
  assert np.isnan(kl).all()
