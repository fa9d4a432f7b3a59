"""Similarity in blocks, and the embeddings artifact."""

import numpy as np
import pytest
import scipy.sparse

from zsgen.core import config, errors
from zsgen.orders import embeddings, similarity

PROMPT = config.build(config.Order, text="prompt")


def _embedded(rng, *shape):
  vectors = rng.integers(-3, 4, shape).astype(np.float32)
  return embeddings.Embeddings(scipy.sparse.csr_array(vectors))


@pytest.mark.parametrize("size", [1, 4096, 5000])
def test_blocks_make_up_the_product(size):
  rng = np.random.default_rng(size)
  train, heldout = _embedded(rng, size, 7), _embedded(rng, 5, 7)
  expected = heldout.block(0, 5) @ train.block(0, size).T
  blocks = [block for _, block in similarity.blocks(train, heldout)]
  np.testing.assert_array_equal(np.concatenate(blocks, axis=1), expected)
  np.testing.assert_array_equal(
      similarity.nearest_similarity(train, heldout), expected.max(axis=0)
  )


def test_take_keeps_the_order_of_rows():
  vectors = _embedded(np.random.default_rng(0), 6, 4)
  subset = vectors.take(np.array([4, 1]))
  assert (len(subset), subset.dim) == (2, 4)
  np.testing.assert_array_equal(subset.block(0, 2), vectors.block(0, 6)[[4, 1]])


def test_embeddings_are_computed_once_and_shared(store, workdir):
  first = embeddings.obtain(workdir, store, PROMPT)
  second = embeddings.obtain(workdir, store, PROMPT)
  assert first.digest == second.digest
  np.testing.assert_array_equal(
      first.block(0, len(store)), second.block(0, len(store))
  )
  oracle = embeddings.obtain(workdir, store, config.build(config.Order))
  assert oracle.digest != first.digest
  names = sorted(path.name for path in (workdir / "embeddings").iterdir())
  assert len(names) == 2
  assert all(name.startswith("ngram-") for name in names)


def test_a_damaged_artifact_is_an_error(store, workdir):
  embeddings.obtain(workdir, store, PROMPT)
  (file,) = (workdir / "embeddings").glob("*/vectors.npz")
  content = bytearray(file.read_bytes())
  content[len(content) // 2] ^= 1
  file.write_bytes(content)
  with pytest.raises(errors.InputError, match="is damaged"):
    embeddings.obtain(workdir, store, PROMPT)


def test_a_text_without_a_word_is_an_error(store, workdir, monkeypatch):
  def read(begin, end):
    prompts = ["" if i == 5 else "some words" for i in range(begin, end)]
    return [prompts, [""] * len(prompts), [None] * len(prompts)]

  monkeypatch.setattr(store.text_rows, "read", read)
  with pytest.raises(errors.InputError, match=r"example 5 \(task even\)"):
    embeddings.obtain(workdir, store, PROMPT)
  assert not (workdir / "embeddings").exists()


def test_an_unknown_embedder_is_an_error(store, workdir):
  with pytest.raises(errors.InputError, match='mean "ngram"'):
    embeddings.obtain(
        workdir, store, config.build(config.Order, embedder="n-gram")
    )
