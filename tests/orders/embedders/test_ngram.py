"""The n-gram embedder: what it counts, and that its products are exact."""

import zlib

import numpy as np

from zsgen.orders import grid
from zsgen.orders.embedders import ngram

WORDS = "give the even odd large first last word list sort , . ? 1 2 33".split()


def _texts(size, seed=0):
  rng = np.random.default_rng(seed)
  return [
      " ".join(rng.choice(WORDS, rng.integers(1, 400))) for _ in range(size)
  ]


def _embed(texts, training=None):
  if training is None:
    training = np.ones(len(texts), bool)
  return ngram.Ngram().embed(texts, np.asarray(training)).vectors


def test_a_text_is_its_words_and_pairs():
  vector = _embed(["Even, ODD even"]).toarray()[0]
  expected = np.zeros(4096)
  for feature in ("even", ",", "odd", "even", "even ,", ", odd", "odd even"):
    code = zlib.crc32(feature.encode())
    expected[code % 4096] += -1 if code >> 31 else 1
  expected /= np.linalg.norm(expected)
  assert np.abs(vector - expected).max() < 1 / grid.CELLS
  assert vector.dtype == np.float32


def test_idf_counts_training_texts_only():
  texts = ["a b", "a c", "a d", "c c c"]
  training = [True, True, True, False]
  rare, common = (zlib.crc32(word) % 4096 for word in (b"b", b"a"))
  vectors = _embed(texts, training).toarray()
  ratio = abs(vectors[0, rare] / vectors[0, common])
  expected = np.log(4 / 2) + 1  # That of "a" is 1: it is in every text.
  assert abs(ratio - expected) < 0.005
  changed = _embed([*texts[:3], "b b b"], training).toarray()
  np.testing.assert_array_equal(vectors[:3], changed[:3])


def test_products_are_exact_in_any_order():
  dense = _embed(_texts(60)).toarray()
  cells = (dense * grid.CELLS).astype(np.int64)
  np.testing.assert_array_equal(cells / grid.CELLS, dense)
  exact = cells @ cells.T
  product = dense @ dense.T
  np.testing.assert_array_equal(product.astype(np.float64) * 2**24, exact)
  shuffled = np.random.default_rng(1).permutation(dense.shape[1])
  shuffled_product = dense[:, shuffled] @ dense[:, shuffled].T
  assert product.tobytes() == shuffled_product.tobytes()
  column_sum = np.zeros_like(product)
  for column in dense.T:
    column_sum += np.outer(column, column)
  assert product.tobytes() == column_sum.tobytes()


def test_norms_are_one_up_to_the_grid():
  norms = np.linalg.norm(_embed(_texts(60)).toarray().astype(float), axis=1)
  assert norms.max() <= 1
  assert norms.min() > 0.99


def test_equal_texts_have_equal_vectors_in_any_row():
  texts = _texts(5000, seed=2)
  texts[4999] = texts[3] = "Sort the list . 1 2 33"
  vectors = _embed(texts)
  assert vectors.shape == (5000, 4096)
  np.testing.assert_array_equal(
      vectors[[3]].toarray(), vectors[[4999]].toarray()
  )


def test_a_text_without_a_word_is_zero():
  assert _embed(["", " \n", "a"]).toarray().any(axis=1).tolist() == [
      False,
      False,
      True,
  ]
