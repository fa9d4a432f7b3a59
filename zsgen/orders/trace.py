"""The trace of an order: how near its prefixes are to each held-out task.

Nine measures (paper E3, spec 2.3), smaller is nearer: cosine and Euclidean
distance, each as mean, minimum, maximum and of centroids, and the KL of
bigrams; beside them the released code's variant of that KL. They stand in
`<order>.trace-<split>.parquet` beside the order's directory, which never
changes. Columns: task, step, examples (of the prefix), the measures; null
where a KL is undefined. What it is a trace of is in the schema's metadata.
"""

import dataclasses
import hashlib
import json
import pathlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from zsgen.core import artifacts, config, errors
from zsgen.data import store as store_lib
from zsgen.data import suite
from zsgen.orders import bigrams, embeddings, measures, prefixes
from zsgen.orders import order as order_lib

MEASURES = measures.PAPERS
# And the released code's bigram KL.
COLUMNS = (*MEASURES, "bigram_kl_multiset")
_NUMBERS = ("step", "examples")
# Keys of the schema's metadata: what it is a trace of, and its SHA-256.
_ABOUT, _DIGEST = b"zsgen.trace", b"zsgen.sha256"
# What values of other types and names raise.
_WRONG = (ValueError, KeyError, TypeError)
_AGAIN = "Delete it, or make it again by `python -m zsgen.orders trace ORDER`."


@dataclasses.dataclass(frozen=True)
class Trace:
  """A trace that was read: K prefixes, T tasks.

  Attributes:
    path: its file.
    about: batch_size, every, split, embedder, text; fingerprints of order and
      store; texts without_bigrams (training, held-out).
    table: the file's columns, [K * T], prefix by prefix.
  """

  path: pathlib.Path
  about: dict[str, Any]
  table: pa.Table = dataclasses.field(repr=False)

  @property
  def tasks(self) -> list[str]:
    """Names of the tasks, [T]."""
    return self.table["task"].unique().to_pylist()

  @property
  def examples(self) -> np.ndarray:
    """Examples of each prefix, int64 [K]."""
    return self._by_prefix("examples")[:, 0]

  @property
  def steps(self) -> np.ndarray:
    """Steps of each prefix, at the trace's batch size, int64 [K]."""
    return self._by_prefix("step")[:, 0]

  def values(self, measure: str) -> np.ndarray:
    """One of `COLUMNS`, float64 [K, T]; NaN where it is undefined."""
    return self._by_prefix(measure)

  def means(self, measure: str) -> np.ndarray:
    """Mean over the tasks that have a value, float64 [K]; NaN if none has."""
    values = self.values(measure)
    known = np.isfinite(values)
    counts = known.sum(axis=1)
    total = np.where(known, values, 0).sum(axis=1)
    return np.divide(
        total, counts, out=np.full(len(total), np.nan), where=counts > 0
    )

  def _by_prefix(self, column: str) -> np.ndarray:
    return self.table[column].to_numpy().reshape(-1, len(self.tasks))


def path_of(order: pathlib.Path, split: str) -> pathlib.Path:
  """Where the trace of an order's directory to a held-out set is."""
  order = order.resolve()
  return order.with_name(f"{order.name}.trace-{split}.parquet")


def make(
    order: order_lib.Order,
    store: store_lib.Store,
    batch_size: int = 16,
    every: int = 10,
    split: str = "heldout",
    embedder: str = "",
    text: str = "",
) -> Trace:
  """Measures an order and writes its trace, over one that is there.

  Args:
    order: an order in a workdir, which holds the embeddings too.
    store: the order's store.
    batch_size: examples of a step.
    every: steps from prefix to prefix; the whole order is the last.
    split: the held-out set.
    embedder: "" for the order's own, or "ngram" where it has none.
    text: "" for the order's own, or "prompt+answer" where it has none.

  Returns:
    The trace.

  Raises:
    InputError: a bad option, or embeddings that are damaged.
  """
  _check(batch_size, every, split)
  own = order.manifest["made_by"]
  text = text or own["text"] or "prompt+answer"
  about = dict(
      batch_size=batch_size,
      every=every,
      split=split,
      embedder=embedder or (own["embedder"] or {}).get("name", "ngram"),
      text=text,
      order=order.fingerprint,
      store=store.fingerprint,
  )
  heldout = store.split_ids(split)
  # Held-out ids stand task by task.
  tasks, starts = np.unique(store.task_index[heldout], return_index=True)
  ends = _ends(len(order), batch_size * every)
  counted, rows = _bigrams(order, store, heldout, text)
  about["without_bigrams"] = [
      bigrams.without(each) for each in (counted.train, counted.heldout)
  ]
  vectors = _vectors(order, store, about["embedder"], text)
  found = prefixes.distances(
      vectors.take(order.ids), vectors.take(heldout), ends, starts
  )
  found["bigram_kl"], found["bigram_kl_multiset"] = bigrams.prefix_kl(
      counted, rows, ends, starts
  )
  names = [store.tasks[task] for task in tasks]
  path = path_of(order.path, split)
  _write(path, _table(names, ends, batch_size, found), about)
  return read(path)


def _vectors(
    order: order_lib.Order, store: store_lib.Store, embedder: str, text: str
) -> embeddings.Embeddings:
  """Embeddings of the store; those that the order was made by, if it was."""
  root = order.path.resolve().parent.parent
  own = order.manifest["made_by"]["embedder"]
  if own and own["name"] == embedder:
    found = embeddings.find(
        root, embeddings.described(store, embedder, own["parameters"], text)
    )
    if found is not None:
      return found
  return embeddings.obtain(
      root, store, config.build(config.Order, embedder=embedder, text=text)
  )


def find(order: order_lib.Order, split: str) -> Trace | None:
  """The trace of an order to a held-out set; None where there is none.

  Raises:
    InputError: it is damaged, or is of another order or held-out set.
  """
  path = path_of(order.path, split)
  if not path.exists():
    return None
  trace = read(path)
  for field, expected in (("order", order.fingerprint), ("split", split)):
    if trace.about[field] != expected:
      raise errors.InputError(
          f"{path}: is the trace of another {field}"
          f" ({str(trace.about[field])[:12]}, not {expected[:12]}). {_AGAIN}"
      )
  return trace


def read(path: pathlib.Path) -> Trace:
  """Reads a trace.

  Raises:
    InputError: it is not there, is no trace, or is damaged.
  """
  try:
    table = pq.read_table(path)
    metadata = table.schema.metadata or {}
    whole = metadata[_DIGEST].decode() == _digest(table, metadata[_ABOUT])
  except (OSError, pa.ArrowException, *_WRONG) as error:
    raise _damaged(path, type(error).__name__) from error
  if not whole:
    raise _damaged(path, "its values do not have their SHA-256")
  return Trace(path, json.loads(metadata[_ABOUT]), table)


def _damaged(path: pathlib.Path, what: str) -> errors.InputError:
  return errors.InputError(
      f"{path}: cannot be read as a trace ({what}): it is damaged or none of"
      f" zsgen's. {_AGAIN}"
  )


def _digest(table: pa.Table, about: bytes) -> str:
  """SHA-256 (hex) of a trace's values; page checksums leave headers out."""
  sha = hashlib.sha256(about)
  sha.update("\n".join(table["task"].to_pylist()).encode())
  for name in (*_NUMBERS, *COLUMNS):
    sha.update(table[name].to_numpy().tobytes())
  return sha.hexdigest()


def _check(batch_size: int, every: int, split: str) -> None:
  """Raises InputError for a number below 1, or the training set."""
  for name, value in (("batch_size", batch_size), ("every", every)):
    if value < 1:
      raise errors.InputError(f"--{name} is {value}, but must be at least 1.")
  if split == suite.TRAIN:
    raise errors.InputError(
        f"--split is {split!r}, but must be a held-out set."
    )


def _ends(size: int, stride: int) -> np.ndarray:
  """Examples of each prefix, int64 [K]; the last has all."""
  return np.minimum(np.arange(stride, size + stride, stride), size)


def _bigrams(
    order: order_lib.Order,
    store: store_lib.Store,
    heldout: np.ndarray,
    text: str,
) -> tuple[bigrams.Bigrams, np.ndarray]:
  """Bigrams of both sides, and which of its rows each position is."""
  # An id that comes in several epochs is read once.
  ids, rows = np.unique(order.ids, return_inverse=True)
  sides = (embeddings.texts_of(store, text, each) for each in (ids, heldout))
  return bigrams.Bigrams.of(*sides), rows


def _table(
    tasks: list[str],
    ends: np.ndarray,
    batch_size: int,
    found: dict[str, np.ndarray],
) -> pa.Table:
  """Rows of the file, prefix by prefix."""
  places = np.tile(np.arange(len(tasks), dtype=np.int32), len(ends))
  examples = np.repeat(ends, len(tasks))
  return pa.table(
      {
          "task": pa.DictionaryArray.from_arrays(places, tasks),
          "step": -(-examples // batch_size),
          "examples": examples,
          **{
              name: pa.array(found[name].ravel(), from_pandas=True)
              for name in COLUMNS
          },
      }
  )


def _write(path: pathlib.Path, table: pa.Table, about: dict[str, Any]) -> None:
  """Writes a trace beside its final place and renames it."""
  said = json.dumps(about, sort_keys=True).encode()
  metadata = {_ABOUT: said, _DIGEST: _digest(table, said)}
  sink = pa.BufferOutputStream()
  pq.write_table(table.replace_schema_metadata(metadata), sink)
  artifacts.write_bytes(path, sink.getvalue().to_pybytes())
