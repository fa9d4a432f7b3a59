"""Embeddings of a store's rows, an artifact that the runs of a workdir share.

`embeddings/<embedder>-<hash>/` holds vectors.npz (scipy's sparse format) or
vectors.npy, and manifest.json. One artifact embeds every row of the store; a
split's vectors are rows of it. It looks at training rows alone where it counts
anything.
"""

from collections.abc import Callable, Iterator, Sequence
import dataclasses
import pathlib
import shutil
from typing import Any

import numpy as np
import scipy.sparse

from zsgen.core import artifacts, config, errors, hosts
from zsgen.data import store as store_lib
from zsgen.data import suite
from zsgen.orders import embedders, grid

_SPARSE, _DENSE = "vectors.npz", "vectors.npy"
# Rows whose texts are read at a time.
_READ = 8192
# What floats make of a length of 1.
_ROUNDING = 1e-5


@dataclasses.dataclass(frozen=True)
class Embeddings:
  """Vectors of unit length (or a little less), read block by block.

  Attributes:
    vectors: float32 [N, D]. Sparse ones are on the grid (`zsgen.orders.grid`);
      dense ones, which may be a memory map, are put on it as they are read.
    digest: SHA-256 of the artifact they are from; "" for others.
    index: the rows that these are, int64 [n]; None for all N.
  """

  vectors: scipy.sparse.csr_array | np.ndarray
  digest: str = ""
  index: np.ndarray | None = None

  def __len__(self) -> int:
    return self.vectors.shape[0] if self.index is None else len(self.index)

  @property
  def dim(self) -> int:
    """Length of a vector."""
    return self.vectors.shape[1]

  def block(self, start: int, stop: int) -> np.ndarray:
    """Rows `start` to `stop`, dense float32 [stop - start, D]."""
    part = slice(start, stop) if self.index is None else self.index[start:stop]
    if isinstance(self.vectors, np.ndarray):
      return grid.snap(self.vectors[part])
    return self.vectors[part].toarray()

  def blocks(self, size: int = 4096) -> Iterator[tuple[slice, np.ndarray]]:
    """All rows, `size` at a time: which, and their vectors."""
    for start in range(0, len(self), size):
      part = slice(start, min(start + size, len(self)))
      yield part, self.block(part.start, part.stop)

  def take(self, rows: np.ndarray) -> "Embeddings":
    """The given rows, in their order; nothing is copied."""
    index = rows if self.index is None else self.index[rows]
    return dataclasses.replace(self, index=index)


def made_by(store: store_lib.Store, order: config.Order) -> dict[str, Any]:
  """What makes the embeddings of an order; InputError for bad options."""
  parameters = embedders.make(order).parameters()
  return described(store, order.embedder, parameters, order.text)


def described(
    store: store_lib.Store, embedder: str, parameters: dict, text: str
) -> dict[str, Any]:
  """What makes the embeddings of that embedder with those parameters."""
  return dict(
      store=store.fingerprint,
      embedder=embedder,
      parameters=parameters,
      text=text,
  )


def find(root: pathlib.Path, made: dict[str, Any]) -> Embeddings | None:
  """The embeddings made so; None where they are not there.

  Raises:
    InputError: the artifact is damaged.
  """
  path = _path(root, made)
  if not hosts.of_first("embeddings", path.exists()):
    return None
  hosts.see(path)
  manifest = artifacts.check_made_by(path, made)
  return load(path, manifest["sha256"])


def obtain(
    root: pathlib.Path,
    store: store_lib.Store,
    order: config.Order,
    say: Callable[[str], None] = lambda line: None,
) -> Embeddings:
  """Loads the embeddings of every row of a store, made where absent.

  Args:
    root: the workdir.
    store: the rows.
    order: names the embedder and the text: "prompt+answer" (the paper; an
      oracle, as the answers of held-out examples take part) or "prompt".
    say: takes lines on the progress of long work.

  Returns:
    Embeddings, [N, D], by example id.

  Raises:
    InputError: a text has no embedding, or the artifact is damaged.
  """
  made = made_by(store, order)
  found = find(root, made)
  if found is not None:
    return found
  path = _path(root, made)
  training = np.zeros(store.examples, bool)
  training[store.split_ids(suite.TRAIN)] = True
  partial = path.with_name(f".{path.name}.partial")
  found = embedders.make(order).embed(
      texts(store, order.text), training, partial, say
  )
  vectors = _unit(found.vectors, store)
  if hosts.is_first():
    save(path, vectors, made, found.cut)
    shutil.rmtree(partial, ignore_errors=True)
  hosts.wait("the embeddings")
  return find(root, made)


def _path(root: pathlib.Path, made: dict[str, Any]) -> pathlib.Path:
  return root / "embeddings" / artifacts.name(made["embedder"], made)


def save(
    path: pathlib.Path,
    vectors: scipy.sparse.csr_array | np.ndarray,
    made: dict[str, Any],
    cut: int = 0,
) -> Embeddings:
  """Writes the artifact; returns what `load` would."""
  dense = isinstance(vectors, np.ndarray)
  with artifacts.writing(path) as beside:
    file = beside / (_DENSE if dense else _SPARSE)
    if dense:
      np.save(file, vectors)
    else:
      scipy.sparse.save_npz(file, vectors, compressed=False)
    digest = artifacts.file_digest(file)
    manifest = dict(
        kind="embeddings",
        made_by=made,
        sha256=digest,
        shape=list(vectors.shape),
        cut=cut,
    )
    artifacts.write_manifest(beside, manifest)
  return load(path, digest)


def load(path: pathlib.Path, digest: str) -> Embeddings:
  """Reads an artifact whose vectors must have the given SHA-256.

  Raises:
    InputError: they are missing or damaged.
  """
  file = path / (_DENSE if (path / _DENSE).exists() else _SPARSE)
  if not file.is_file() or artifacts.file_digest(file) != digest:
    raise errors.InputError(
        f"{file}: is missing or not what was written. Delete {path} to have"
        " the embeddings made again."
    )
  if file.name == _DENSE:
    return Embeddings(artifacts.load_array(file, "r"), digest)
  return Embeddings(scipy.sparse.load_npz(file), digest)


def texts(store: store_lib.Store, text: str) -> Iterator[str]:
  """The text of each row that is embedded (spec 2.5)."""
  for start in range(0, store.examples, _READ):
    yield from texts_of(
        store, text, range(start, min(start + _READ, store.examples))
    )


def texts_of(
    store: store_lib.Store, text: str, ids: Sequence[int] | np.ndarray
) -> list[str]:
  """The texts of some rows."""
  return [
      prompt if text == "prompt" else f"{prompt} {answer}"
      for prompt, answer in store.texts(ids)
  ]


def _unit(
    vectors: scipy.sparse.csr_array | np.ndarray, store: store_lib.Store
) -> scipy.sparse.csr_array | np.ndarray:
  """The vectors, dense ones of length 1 (some encoders leave them as they are).

  Raises:
    InputError: names a row that is zero or not finite.
  """
  dense = isinstance(vectors, np.ndarray)
  squares = vectors * vectors if dense else vectors.multiply(vectors)
  norms = np.sqrt(squares.sum(axis=1))
  bad = np.flatnonzero(~(np.isfinite(norms) & (norms > 0)))
  if len(bad):
    task = store.tasks[store.task_index[bad[0]]]
    raise errors.InputError(
        f"{store.path}: example {bad[0]} (task {task}) has a non-finite or"
        f" zero embedding, as have {len(bad)} in all: its text has no word."
        " Remove it from the source, or use another config.order.text."
    )
  far = dense and np.abs(norms - 1).max() > _ROUNDING
  return vectors / norms[:, None] if far else vectors
