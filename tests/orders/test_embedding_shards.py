"""Shards embed the bytes of one process, whoever embeds, and how often."""

import hashlib
import shutil

import numpy as np
import pytest

from tests.helpers import artifact_files, bert_models
from zsgen.core import artifacts, config, errors, shards
from zsgen.orders import embedding_shards, embeddings
from zsgen.orders.embedders import chunks, encoded

WIDTH = 5


class _Hashes(chunks.ChunkEmbedder):
  """Embeds a text by its digest; no vector has length 1.

  Attributes:
    embedded: the chunks that were embedded, in their order.
  """

  def __init__(self, salt: str = ""):
    self.embedded: list[int] = []
    self._salt = salt

  @property
  def width(self) -> int:
    return WIDTH

  def parameters(self) -> dict[str, str]:
    return {"salt": self._salt}

  def embed(self, texts, training, partial, log) -> encoded.Encoded:
    vectors = np.stack([self._vector(text) for text in texts])
    assert len(training) == len(vectors)
    return encoded.Encoded(vectors, 3)

  def embed_chunks(self, work, numbers, read, log) -> None:
    for number in numbers:
      if work.read(number) is None:
        rows, chunk = work.rows(number), work.begin(number)
        vectors = np.stack([self._vector(text) for text in read(rows)])
        chunk.add(np.arange(len(rows)), vectors)
        chunk.finish(int(number == 0) * 3)
        self.embedded.append(number)

  def _vector(self, text: str) -> np.ndarray:
    digest = hashlib.sha256((self._salt + text).encode()).digest()
    return np.frombuffer(digest[:WIDTH], np.uint8).astype(np.float32) + 1


@pytest.fixture
def use(monkeypatch):
  """Makes an embedder that of all orders; chunks have 4 rows."""
  monkeypatch.setattr(chunks, "SIZE", 4)

  def set_embedder(salt: str = "") -> _Hashes:
    embedder = _Hashes(salt)
    for name in ("make", "parameters"):
      value = {"make": embedder, "parameters": embedder.parameters()}[name]
      monkeypatch.setattr(
          embeddings.embedders, name, lambda *args, value=value: value
      )
    return embedder

  return set_embedder


ORDER = config.build(config.Order, embedder="ngram")


def _shard(workdir, store, index, count) -> shards.Progress:
  return embedding_shards.embed_shard(
      workdir, store, ORDER, shards.Shard(index, count)
  )


def _check_refused(workdir, store, message: str) -> None:
  """Checks that nothing is merged, and why."""
  before = artifact_files.read_all(workdir / "embeddings")
  with pytest.raises(errors.InputError, match=message):
    embedding_shards.merge(workdir, store, ORDER)
  assert artifact_files.read_all(workdir / "embeddings") == before


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_any_number_of_shards_makes_the_same_bytes(
    workdir, store, use, tmp_path, count
):
  use()
  whole = embeddings.obtain(tmp_path / "whole", store, ORDER)
  progress = [_shard(workdir, store, i, count) for i in range(count)]
  assert sum(part.rows for part in progress) == store.examples
  assert progress[-1].missing == 0
  merged, path = embedding_shards.merge(workdir, store, ORDER)
  artifact_files.assert_same(
      workdir / "embeddings", tmp_path / "whole" / "embeddings"
  )
  assert merged.digest == whole.digest
  assert artifacts.read_manifest(path)["cut"] == 3
  lengths = np.sqrt((merged.vectors**2).sum(axis=1))
  np.testing.assert_allclose(lengths, 1, atol=1e-6)


@pytest.mark.numerics
@pytest.mark.parametrize("count", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_an_encoder_by_shards(workdir, store, tmp_path, monkeypatch, count):
  pytest.importorskip("tokenizers")
  monkeypatch.setattr(chunks, "SIZE", 8)
  order = config.build(
      config.Order,
      embedder="encoder",
      encoder=str(bert_models.write(tmp_path / "encoder")),
  )
  embeddings.obtain(tmp_path / "whole", store, order)
  for index in range(count):
    shard = shards.Shard(index, count)
    embedding_shards.embed_shard(workdir, store, order, shard)
  embedding_shards.merge(workdir, store, order)
  artifact_files.assert_same(
      workdir / "embeddings", tmp_path / "whole" / "embeddings"
  )


class _Killed(BaseException):
  """Stands for the end of the process."""


def test_a_killed_shard_continues(workdir, store, use, monkeypatch):
  embedder = use()
  with monkeypatch.context() as patched:
    finish = chunks.parts.Chunk.finish

    def die_at_third(chunk, cut):
      if len(embedder.embedded) == 2:
        raise _Killed
      finish(chunk, cut)

    patched.setattr(chunks.parts.Chunk, "finish", die_at_third)
    with pytest.raises(_Killed):
      _shard(workdir, store, 0, 1)
  assert embedder.embedded == [0, 1]
  _shard(workdir, store, 0, 1)
  assert embedder.embedded == list(range(-(-store.examples // 4)))
  embedding_shards.merge(workdir, store, ORDER)


def test_retries_and_overlapping_shards_change_nothing(
    workdir, store, use, tmp_path
):
  embedder = use()
  for index, count in ((0, 2), (1, 3), (0, 2), (1, 2)):
    _shard(workdir, store, index, count)
  assert sorted(embedder.embedded) == sorted({*embedder.embedded})
  merged, path = embedding_shards.merge(workdir, store, ORDER)
  embeddings.obtain(tmp_path / "whole", store, ORDER)
  artifact_files.assert_same(
      workdir / "embeddings", tmp_path / "whole" / "embeddings"
  )
  assert embedding_shards.merge(workdir, store, ORDER)[1] == path
  assert _shard(workdir, store, 0, 2).is_merged
  assert [path.name for path in (workdir / "embeddings").iterdir()] == [
      path.name
  ]
  assert merged.digest


def test_missing_shards_are_named(workdir, store, use):
  use()
  _shard(workdir, store, 1, 2)
  message = r"chunks are not embedded: 0, 2, .*No embeddings are made"
  _check_refused(workdir, store, message)
  use("other")
  _shard(workdir, store, 0, 2)
  use()
  others = r"salt is 'other' there and '' here \(chunks embedded: [1-9]"
  _check_refused(workdir, store, f"{message}.*{others}")


def test_shards_of_another_encoder_or_store_are_named(workdir, make_store, use):
  use()
  store = make_store()
  (workdir / "embeddings").mkdir()
  _check_refused(workdir, store, "no shard of this config is embedded")
  _shard(workdir, store, 0, 1)
  use("other")
  _check_refused(workdir, store, "salt is '' there and 'other' here")
  use()
  _check_refused(workdir, make_store(1), "config: store is '.* there and '")


def test_another_installation_or_device_is_named(
    workdir, store, use, monkeypatch
):
  use()
  _shard(workdir, store, 0, 2)
  with monkeypatch.context() as patched:
    patched.setattr(embedding_shards, "_LIBRARIES", ("numpy", "pytest"))
    for check in (_check_refused, _check_shard):
      check(workdir, store, "the version of jax is .* there and")
  (path,) = (workdir / "embeddings").iterdir()
  fields = artifacts.read_sealed(path / shards.JOB, "", "")
  fields["device"] = "Abacus"
  artifacts.write_sealed(path / shards.JOB, fields)
  _check_shard(workdir, store, "another kind: 'Abacus' there and 'cpu' here")


def _check_shard(workdir, store, message: str) -> None:
  """Checks that a shard embeds nothing, and why."""
  before = artifact_files.read_all(workdir / "embeddings")
  with pytest.raises(errors.InputError, match=message):
    _shard(workdir, store, 1, 2)
  assert artifact_files.read_all(workdir / "embeddings") == before


def test_damaged_and_foreign_chunks_are_named(workdir, store, use):
  use()
  _shard(workdir, store, 0, 1)
  (job,) = (workdir / "embeddings").iterdir()
  first, second = job / "chunk-00000.vectors", job / "chunk-00001.vectors"
  content = first.read_bytes()
  message = r"chunk-00000.vectors: is missing or damaged\. It may be of"
  # A flipped bit, another chunk's content, and another job's.
  use("other")
  _shard(workdir, store, 0, 1)
  paths = {*(workdir / "embeddings").glob(".*.shards/chunk-00000.vectors")}
  (foreign,) = paths - {first}
  embedder = use()
  for other in (
      content[:-1] + bytes([content[-1] ^ 1]),
      second.read_bytes(),
      foreign.read_bytes(),
  ):
    first.write_bytes(other)
    _check_refused(workdir, store, message)
  _shard(workdir, store, 0, 1)
  assert embedder.embedded == [0]
  assert first.read_bytes() == content
  shutil.rmtree(foreign.parent)
  embedding_shards.merge(workdir, store, ORDER)


def test_an_embedder_of_all_texts_is_refused(workdir, store):
  message = "'ngram' are not computed by shards.*--stage=order"
  _check_shard(workdir, store, message)
  _check_refused(workdir, store, message)


def test_a_text_without_a_vector_is_named(workdir, store, use, monkeypatch):
  use()
  zeros = np.zeros(WIDTH, np.float32)
  monkeypatch.setattr(_Hashes, "_vector", lambda self, text: zeros)
  _shard(workdir, store, 0, 1)
  _check_refused(workdir, store, "example 0 .task even. has a non-finite")
