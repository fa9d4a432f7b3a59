"""Embeddings of a store's rows, an artifact that the runs of a workdir share.

`embeddings/<embedder>-<hash>/` holds vectors.npz (scipy's sparse format) and
manifest.json. One artifact embeds every row of the store; a split's vectors
are rows of it. It looks at training rows alone where it counts anything.
"""

from collections.abc import Iterator
import dataclasses
import pathlib
from typing import Any

import numpy as np
import scipy.sparse

from zsgen import artifacts, errors
from zsgen.data import store as store_lib
from zsgen.data import suite
from zsgen.orders import embedders

_VECTORS = "vectors.npz"
# Rows whose texts are read at a time.
_READ = 8192


@dataclasses.dataclass(frozen=True)
class Embeddings:
  """Vectors of unit length (or a little less), held sparse.

  Attributes:
    vectors: float32 [n, D].
    digest: SHA-256 of the artifact they are from; "" for others.
  """

  vectors: scipy.sparse.csr_array
  digest: str = ""

  def __len__(self) -> int:
    return self.vectors.shape[0]

  @property
  def dim(self) -> int:
    """Length of a vector."""
    return self.vectors.shape[1]

  def block(self, start: int, stop: int) -> np.ndarray:
    """Rows `start` to `stop`, dense float32 [stop - start, D]."""
    return self.vectors[start:stop].toarray()

  def take(self, rows: np.ndarray) -> "Embeddings":
    """The given rows, in their order."""
    return Embeddings(self.vectors[rows], self.digest)


def made_by(store: store_lib.Store, embedder: str, text: str) -> dict[str, Any]:
  """What makes an embeddings artifact; InputError for an unknown embedder."""
  parameters = dataclasses.asdict(embedders.make(embedder))
  return dict(
      store=store.fingerprint,
      embedder=embedder,
      parameters=parameters,
      text=text,
  )


def obtain(
    root: pathlib.Path, store: store_lib.Store, embedder: str, text: str
) -> Embeddings:
  """Loads the embeddings of every row of a store, made where absent.

  Args:
    root: the workdir.
    store: the rows.
    embedder: a name in `embedders`.
    text: "prompt+answer" (the paper; an oracle, as the answers of held-out
      examples take part) or "prompt".

  Returns:
    Embeddings, [N, D], by example id.

  Raises:
    InputError: a text has no embedding, or the artifact is damaged.
  """
  made = made_by(store, embedder, text)
  path = root / "embeddings" / artifacts.name(embedder, made)
  if path.exists():
    manifest = artifacts.check_made_by(path, made)
    return load(path, manifest["sha256"])
  training = np.zeros(len(store), bool)
  training[store.split_ids(suite.TRAIN)] = True
  vectors = embedders.make(embedder).embed(_texts(store, text), training)
  _check(vectors, store)
  return save(path, vectors, made)


def save(
    path: pathlib.Path, vectors: scipy.sparse.csr_array, made: dict[str, Any]
) -> Embeddings:
  """Writes the artifact; returns what `load` would."""
  with artifacts.writing(path) as beside:
    scipy.sparse.save_npz(beside / _VECTORS, vectors, compressed=False)
    digest = artifacts.file_digest(beside / _VECTORS)
    manifest = dict(made_by=made, sha256=digest, shape=list(vectors.shape))
    artifacts.write_json(beside / artifacts.MANIFEST, manifest)
  return Embeddings(vectors, digest)


def load(path: pathlib.Path, digest: str) -> Embeddings:
  """Reads an artifact whose vectors must have the given SHA-256.

  Raises:
    InputError: they are missing or damaged.
  """
  file = path / _VECTORS
  if not file.is_file() or artifacts.file_digest(file) != digest:
    raise errors.InputError(
        f"{file}: is missing or not what was written. Delete {path} to have"
        " the embeddings made again."
    )
  return Embeddings(scipy.sparse.load_npz(file), digest)


def _texts(store: store_lib.Store, text: str) -> Iterator[str]:
  """The text of each row that is embedded (spec 2.5)."""
  for start in range(0, len(store), _READ):
    ids = range(start, min(start + _READ, len(store)))
    for prompt, answer in store.texts(ids):
      yield prompt if text == "prompt" else f"{prompt} {answer}"


def _check(vectors: scipy.sparse.csr_array, store: store_lib.Store) -> None:
  """Raises InputError, naming a row that is zero or not finite."""
  norms = np.sqrt(vectors.multiply(vectors).sum(axis=1))
  bad = np.flatnonzero(~(np.isfinite(norms) & (norms > 0)))
  if len(bad):
    task = store.tasks[store.task_index[bad[0]]]
    raise errors.InputError(
        f"{store.path}: example {bad[0]} (task {task}) has a non-finite or"
        f" zero embedding, as have {len(bad)} in all: its text has no word."
        " Remove it from the source, or use another config.order.text."
    )
