"""Embeddings of a store's rows, an artifact that the runs of a workdir share.

`embeddings/<embedder>-<hash>/` holds vectors.npz (scipy's sparse format) or
vectors.npy, and manifest.json. One artifact embeds every row of the store; the
vectors of a split are some of its rows. Embedders that use statistics compute
them from training rows only.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import pathlib
import shutil
from typing import Any

import numpy as np
import scipy.sparse

from zsgen.core import artifacts, config, errors, hosts
from zsgen.data import raw_texts, suite
from zsgen.data import store as store_lib
from zsgen.orders import dense, embedders, grid, sparse
from zsgen.orders.embedders import by_model, encoded

_SPARSE, _DENSE = "vectors.npz", "vectors.npy"
# Number of rows whose texts are read at a time.
_READ = 8192
# Largest rounding error of a length of 1.
_ROUNDING = 1e-5


@dataclasses.dataclass(frozen=True)
class Embeddings:
  """Vectors of length 1 or slightly less, read in blocks.

  Attributes:
    vectors: float32 [N, D]. Sparse ones are on the grid (`zsgen.orders.grid`);
      dense ones, which may be memory-mapped, are snapped to it when read.
    digest: SHA-256 of their artifact; "" without an artifact.
    index: the selected rows, int64 [n]; None for all N.
    scales: what `similarity.blocks` multiplies products by, float32 [N]; None
      for nothing.
  """

  vectors: scipy.sparse.csr_array | np.ndarray
  digest: str = ""
  index: np.ndarray | None = None
  scales: np.ndarray | None = None

  def __len__(self) -> int:
    return self._shape[0] if self.index is None else len(self.index)

  @property
  def dim(self) -> int:
    """The length of a vector."""
    return self._shape[1]

  @property
  def _shape(self) -> tuple[int, int]:
    return sparse.shape_of(self.vectors)

  def block(self, start: int, stop: int) -> np.ndarray:
    """Returns rows `start` to `stop`, dense float32 [stop - start, D]."""
    part = slice(start, stop) if self.index is None else self.index[start:stop]
    if isinstance(self.vectors, np.ndarray):
      return grid.snap(self.vectors[part])
    return self.vectors[part].toarray()

  def products(self, rows: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Returns the exact dot products of some rows and a vector on the grid.

    Args:
      rows: rows, int64 [n].
      vector: float32 [D].

    Returns:
      Dot products, float64 [n], without `scales`.
    """
    part = rows if self.index is None else self.index[rows]
    if isinstance(self.vectors, np.ndarray):
      return grid.snap(self.vectors[part]).astype(np.float64) @ vector
    return self.vectors[part] @ vector.astype(np.float64)

  def blocks(self, size: int = 4096) -> Iterator[tuple[slice, np.ndarray]]:
    """Yields slices of `size` rows and their vectors."""
    for start in range(0, len(self), size):
      part = slice(start, min(start + size, len(self)))
      yield part, self.block(part.start, part.stop)

  def take(self, rows: np.ndarray) -> "Embeddings":
    """Returns the given rows, in their order, without a copy."""
    index = rows if self.index is None else self.index[rows]
    return dataclasses.replace(self, index=index)


def recipe_of(
    store: store_lib.Store,
    order: config.Order,
    models: by_model.Models = by_model.NO_MODELS,
) -> dict[str, Any]:
  """Returns what determines the embeddings of an order.

  Raises:
    InputError: an option is invalid.
  """
  parameters = embedders.parameters(order, models)
  return described(store, order.embedder, parameters, order.text)


def described(
    store: store_lib.Store, embedder: str, parameters: dict, text: str
) -> dict[str, Any]:
  """Returns what determines the embeddings of an embedder and its parameters."""
  return dict(
      store=store.fingerprint,
      embedder=embedder,
      parameters=parameters,
      text=text,
  )


def find(root: pathlib.Path, recipe: dict[str, Any]) -> Embeddings | None:
  """Returns the embeddings of a recipe, or None if they do not exist.

  Raises:
    InputError: the artifact is damaged.
  """
  path = path_of(root, recipe)
  if not hosts.broadcast("embeddings", artifacts.exists(path)):
    return None
  hosts.await_file(path)
  return read(root, recipe)


def read(root: pathlib.Path, recipe: dict[str, Any]) -> Embeddings | None:
  """Returns the same as `find`, for one process alone.

  Raises:
    InputError: the artifact is damaged.
  """
  path = path_of(root, recipe)
  if not artifacts.exists(path):
    return None
  return load(path, artifacts.check_made_by(path, recipe))


def obtain(
    root: pathlib.Path,
    store: store_lib.Store,
    order: config.Order,
    log: Callable[[str], None] = lambda line: None,
    models: by_model.Models = by_model.NO_MODELS,
) -> Embeddings:
  """Returns the embeddings of every row of a store; makes them if necessary.

  Args:
    root: the workdir.
    store: the rows.
    order: has the embedder and the text: "prompt+answer" (the paper's; an
      oracle, because it uses the answers of held-out examples) or "prompt".
    log: is called with lines about the progress of long work.
    models: gives the models of embedders by a model.

  Returns:
    Embeddings, [N, D], by example id.

  Raises:
    InputError: a text has no embedding, or the artifact is damaged.
  """
  recipe = recipe_of(store, order, models)
  existing = find(root, recipe)
  if existing is not None:
    return existing
  path = path_of(root, recipe)
  partial = path.with_name(f".{path.name}.partial")
  result = _embed(store, order, partial, log, models)
  vectors = result.vectors
  if isinstance(vectors, np.ndarray):
    vectors = dense.split(vectors)
  vectors = scale_to_unit(vectors, store, np.arange(store.examples))
  if hosts.is_first():
    save(path, vectors, recipe, result.cut)
    shutil.rmtree(partial, ignore_errors=True)
  hosts.wait("the embeddings")
  written = find(root, recipe)
  assert written is not None, "the first process has just written it"
  return written


def compute(
    store: store_lib.Store,
    order: config.Order,
    ids: np.ndarray,
    models: by_model.Models,
    partial: pathlib.Path,
    log: Callable[[str], None] = lambda line: None,
) -> Embeddings:
  """Embeds some rows of a store by a model; writes no artifact.

  With several processes, all of them must call this; all have the result.

  Args:
    store: the rows.
    order: has the embedder, which is one by a model, and the text.
    ids: rows of the store, int64 [n], each once.
    models: gives the models.
    partial: a directory for what should survive a kill.
    log: is called with lines about the progress.

  Returns:
    Embeddings by example id. Reading a row that is not one of `ids` raises
    IndexError.

  Raises:
    InputError: see `by_model.ModelEmbedder.embed_rows`.
  """
  embedder = embedders.make(order)
  assert isinstance(embedder, by_model.ModelEmbedder), "it reads rows"
  result = embedder.embed_rows(store, ids, order.text, models, partial, log)
  index = np.full(store.examples, len(ids))
  index[ids] = np.arange(len(ids))
  assert isinstance(result.vectors, np.ndarray), "its vectors are dense"
  vectors = scale_to_unit(dense.split(result.vectors), store, ids)
  assert isinstance(vectors, dense.Blocks), "they were dense"
  return Embeddings(dense.join(vectors), index=index)


def _embed(
    store: store_lib.Store,
    order: config.Order,
    partial: pathlib.Path,
    log: Callable[[str], None],
    models: by_model.Models,
) -> encoded.Encoded:
  """Computes the vectors of every row; see `obtain` for the arguments."""
  embedder = embedders.make(order)
  if isinstance(embedder, by_model.ModelEmbedder):
    ids = np.arange(store.examples)
    return embedder.embed_rows(store, ids, order.text, models, partial, log)
  training = np.zeros(store.examples, bool)
  training[store.split_ids(suite.TRAIN)] = True
  return embedder.embed(texts(store, order.text), training, partial, log)


def path_of(root: pathlib.Path, recipe: Mapping[str, Any]) -> pathlib.Path:
  """Returns the path of the embeddings of a recipe."""
  return root / "embeddings" / artifacts.name(recipe["embedder"], recipe)


def save(
    path: pathlib.Path,
    vectors: scipy.sparse.csr_array | dense.Blocks,
    recipe: Mapping[str, Any],
    cut: int = 0,
) -> None:
  """Writes the artifact, for `find`."""
  with artifacts.writing(path) as partial:
    if isinstance(vectors, dense.Blocks):
      dense.write(partial / _DENSE, vectors)
      shape = list(vectors.shape)
    else:
      scipy.sparse.save_npz(partial / _SPARSE, vectors, compressed=False)
      shape = list(sparse.shape_of(vectors))
    manifest = dict(kind="embeddings", made_by=recipe, shape=shape, cut=cut)
    artifacts.write_manifest(partial, manifest)


def load(path: pathlib.Path, manifest: Mapping[str, Any]) -> Embeddings:
  """Reads an artifact.

  Args:
    path: its directory.
    manifest: its manifest, which was checked.

  Raises:
    InputError: the vectors are missing or damaged.
  """
  artifacts.check_files(path, manifest["files"])
  ((name, written),) = manifest["files"].items()
  file, digest = path / name, written["sha256"]
  if file.name == _DENSE:
    return Embeddings(artifacts.load_array(file, "r"), digest)
  return Embeddings(scipy.sparse.load_npz(file), digest)


def texts(store: store_lib.Store, text: str) -> Iterator[str]:
  """Yields the text of each row that is embedded (spec 2.5)."""
  for start in range(0, store.examples, _READ):
    rows = range(start, min(start + _READ, store.examples))
    yield from texts_between(store, text, rows)


def texts_between(store: store_lib.Store, text: str, rows: range) -> list[str]:
  """Returns the texts of consecutive rows, and reads no others."""
  columns = store.text_rows.read(rows.start, rows.stop)
  if text == "prompt+answer":
    return [raw_texts.compared(*row) for row in zip(*columns, strict=True)]
  return [prompt.strip() for prompt in columns[0]]


def texts_of(
    store: store_lib.Store, text: str, ids: Sequence[int] | np.ndarray
) -> list[str]:
  """Returns the texts of some rows, whatever the template."""
  if text == "prompt+answer":
    return store.compared_texts(ids)
  return [prompt.strip() for prompt, _ in store.texts(ids)]


def scale_to_unit(
    vectors: scipy.sparse.csr_array | dense.Blocks,
    store: store_lib.Store,
    ids: np.ndarray,
) -> scipy.sparse.csr_array | dense.Blocks:
  """Returns the vectors; dense ones are scaled to length 1 if necessary.

  Args:
    vectors: of examples, [n, D].
    store: the examples.
    ids: which of them, rows of the store, int64 [n].

  Raises:
    InputError: a vector is zero or not finite.
  """
  if isinstance(vectors, dense.Blocks):
    norms = dense.norms(vectors)
  else:
    norms = np.sqrt(vectors.multiply(vectors).sum(axis=1))
  bad = np.flatnonzero(~(np.isfinite(norms) & (norms > 0)))
  if len(bad):
    first = ids[bad[0]]
    task = store.tasks[store.task_index[first]]
    raise errors.InputError(
        f"{store.path}: example {first} (task {task}) has a non-finite or"
        f" zero embedding ({len(bad)} examples in total): its text has no words."
        " Remove it from the source, or use another config.order.text."
    )
  if not isinstance(vectors, dense.Blocks):
    return vectors
  if np.abs(norms - 1).max() <= _ROUNDING:
    return vectors
  return dense.divide(vectors, norms)
