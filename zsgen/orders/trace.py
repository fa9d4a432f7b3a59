"""The trace of an order: how near its prefixes are to each held-out task.

There are nine measures (paper E3, spec 2.3), where smaller is nearer: cosine
and Euclidean distance, both as mean, minimum, maximum and of centroids, and the
KL of bigrams, as well as the released code's variant of that KL. They are
written to `<order>.trace-<split>.parquet` next to the order's directory, which
never changes. The columns are task, step, examples (of the prefix) and the
measures, with null for undefined KLs. The schema's metadata describes the
trace.
"""

import dataclasses
import hashlib
import json
import pathlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from zsgen.core import artifacts, config, errors, hosts
from zsgen.data import store as store_lib
from zsgen.data import suite
from zsgen.orders import bigrams, embeddings, measures, prefixes
from zsgen.orders import order as order_lib

MEASURES = measures.PAPERS
# And the released code's bigram KL.
COLUMNS = (*MEASURES, "bigram_kl_multiset")
_NUMBERS = ("step", "examples")
# Keys of the schema's metadata: the description and the SHA-256.
_DESCRIPTION, _DIGEST = b"zsgen.trace", b"zsgen.sha256"
# Errors of fields with other names and types.
_FIELD_ERRORS = (ValueError, KeyError, TypeError)
_ADVICE = (
    "Delete it: a run with config.order.trace_every, or `python -m zsgen.orders"
    " trace`, makes it again."
)


@dataclasses.dataclass(frozen=True)
class Trace:
  """A loaded trace with K prefixes and T tasks.

  Attributes:
    path: its file.
    description: batch_size, every, split, embedder, text; the fingerprints of
      order and store; the numbers of texts without_bigrams (training,
      held-out).
    table: the file's columns, [K * T], prefix by prefix.
  """

  path: pathlib.Path
  description: dict[str, Any]
  table: pa.Table = dataclasses.field(repr=False)

  @property
  def tasks(self) -> list[str]:
    """The names of the tasks, [T]."""
    return self.table["task"].unique().to_pylist()

  @property
  def examples(self) -> np.ndarray:
    """The number of examples of each prefix, int64 [K]."""
    return self._by_prefix("examples")[:, 0]

  @property
  def steps(self) -> np.ndarray:
    """The number of steps of each prefix, at the trace's batch size, int64 [K]."""
    return self._by_prefix("step")[:, 0]

  def values(self, measure: str) -> np.ndarray:
    """Returns a measure of `COLUMNS`, float64 [K, T]; NaN where it is
    undefined.
    """
    return self._by_prefix(measure)

  def means(self, measure: str) -> np.ndarray:
    """Returns the mean over the tasks with a value, float64 [K]; NaN if none
    has.
    """
    values = self.values(measure)
    is_finite = np.isfinite(values)
    counts = is_finite.sum(axis=1)
    total = np.where(is_finite, values, 0).sum(axis=1)
    return np.divide(
        total, counts, out=np.full(len(total), np.nan), where=counts > 0
    )

  def _by_prefix(self, column: str) -> np.ndarray:
    return self.table[column].to_numpy().reshape(-1, len(self.tasks))


def path_of(order: pathlib.Path, split: str) -> pathlib.Path:
  """Returns the path of an order's trace to a held-out set."""
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
    vectors: embeddings.Embeddings | None = None,
) -> Trace:
  """Measures an order and writes its trace, replacing an existing one.

  With several processes, all of them must call this with the same arguments,
  and the first one writes.

  Args:
    order: an order in a workdir that has the embeddings too.
    store: the order's store.
    batch_size: number of examples per step.
    every: number of steps between prefixes; the last one is the whole order.
    split: the held-out set.
    embedder: an embedder; "" for the order's own, or "ngram" if it has none.
    text: the text; "" for the order's own, or "prompt+answer" if it has none.
    vectors: those of all rows, by this embedder and of this text; None to read
      them, or to make them with the embedder's defaults.

  Returns:
    The trace.

  Raises:
    InputError: an option is invalid, or embeddings are damaged.
  """
  description = describe(order, store, batch_size, every, split, embedder, text)
  heldout = store.split_ids(split)
  # Held-out ids are sorted by task.
  tasks, starts = np.unique(store.task_index[heldout], return_index=True)
  ends = _ends(len(order), batch_size * every)
  counts, rows = _bigrams(order, store, heldout, description["text"])
  description["without_bigrams"] = [
      bigrams.count_without_bigrams(side)
      for side in (counts.train, counts.heldout)
  ]
  if vectors is None:
    vectors = _vectors(
        order, store, description["embedder"], description["text"]
    )
  measures_by_name = prefixes.distances(
      vectors.take(order.ids), vectors.take(heldout), ends, starts
  )
  measures_by_name["bigram_kl"], measures_by_name["bigram_kl_multiset"] = (
      bigrams.prefix_kl(counts, rows, ends, starts)
  )
  names = [store.tasks[task] for task in tasks]
  path = path_of(order.path, split)
  table = _table(names, ends, batch_size, measures_by_name)
  if hosts.is_first():
    _write(path, table, description)
  hosts.wait("the trace")
  return Trace(path, description, table)


def describe(
    order: order_lib.Order,
    store: store_lib.Store,
    batch_size: int,
    every: int,
    split: str,
    embedder: str = "",
    text: str = "",
) -> dict[str, Any]:
  """Returns what determines a trace, as its description has it.

  See `make` for the arguments.

  Raises:
    InputError: an option is invalid.
  """
  _check(batch_size, every, split)
  origin = order.manifest["made_by"]
  return dict(
      batch_size=batch_size,
      every=every,
      split=split,
      embedder=embedder or (origin["embedder"] or {}).get("name", "ngram"),
      text=text or origin["text"] or "prompt+answer",
      order=order.fingerprint,
      store=store.fingerprint,
  )


def _vectors(
    order: order_lib.Order, store: store_lib.Store, embedder: str, text: str
) -> embeddings.Embeddings:
  """Returns embeddings of the store, those of the order if it has them."""
  root = order.path.resolve().parent.parent
  origin = order.manifest["made_by"]["embedder"]
  if origin and origin["name"] == embedder:
    vectors = embeddings.find(
        root, embeddings.described(store, embedder, origin["parameters"], text)
    )
    if vectors is not None:
      return vectors
  return embeddings.obtain(
      root, store, config.build(config.Order, embedder=embedder, text=text)
  )


def find(order: order_lib.Order, split: str) -> Trace | None:
  """Returns the trace of an order to a held-out set, or None.

  Raises:
    InputError: the trace is damaged or belongs to another order or held-out
      set.
  """
  path = path_of(order.path, split)
  if not artifacts.fetch(path):
    return None
  trace = read(path)
  for field, expected in (("order", order.fingerprint), ("split", split)):
    if trace.description[field] != expected:
      raise errors.InputError(
          f"{path}: is the trace of another {field}"
          f" ({str(trace.description[field])[:12]}, not {expected[:12]}). {_ADVICE}"
      )
  return trace


def read(path: pathlib.Path) -> Trace:
  """Reads a trace.

  Raises:
    InputError: the file is missing, damaged or not a trace.
  """
  try:
    table = pq.read_table(path)
    metadata = table.schema.metadata or {}
    is_complete = metadata[_DIGEST].decode() == _digest(
        table, metadata[_DESCRIPTION]
    )
  except (OSError, pa.ArrowException, *_FIELD_ERRORS) as error:
    raise _damaged(path, type(error).__name__) from error
  if not is_complete:
    raise _damaged(path, "its values do not match their SHA-256")
  return Trace(path, json.loads(metadata[_DESCRIPTION]), table)


def _damaged(path: pathlib.Path, reason: str) -> errors.InputError:
  """Returns the error for a file that is no trace."""
  return errors.InputError(
      f"{path}: cannot be read as a trace ({reason}): it is damaged or not from"
      f" zsgen. {_ADVICE}"
  )


def _digest(table: pa.Table, description: bytes) -> str:
  """Returns the SHA-256 (hex) of a trace's values.

  Page checksums would not cover headers.
  """
  sha = hashlib.sha256(description)
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
  """Returns the length of each prefix, int64 [K]; the last has all examples."""
  stride = min(stride, size)  # A larger one may not be an int64.
  return np.minimum(np.arange(stride, size + stride, stride), size)


def _bigrams(
    order: order_lib.Order,
    store: store_lib.Store,
    heldout: np.ndarray,
    text: str,
) -> tuple[bigrams.Bigrams, np.ndarray]:
  """Returns the bigrams of both sides, and the row of each position."""
  # An id of several epochs is read once.
  ids, rows = np.unique(order.ids, return_inverse=True)
  sides = (embeddings.texts_of(store, text, side) for side in (ids, heldout))
  return bigrams.Bigrams.count(*sides), rows


def _table(
    tasks: list[str],
    ends: np.ndarray,
    batch_size: int,
    values: dict[str, np.ndarray],
) -> pa.Table:
  """Returns the rows of the file, prefix by prefix."""
  task_numbers = np.tile(np.arange(len(tasks), dtype=np.int32), len(ends))
  examples = np.repeat(ends, len(tasks))
  return pa.table(
      {
          "task": pa.DictionaryArray.from_arrays(task_numbers, tasks),
          "step": -(-examples // min(batch_size, int(ends[-1]))),
          "examples": examples,
          **{
              name: pa.array(values[name].ravel(), from_pandas=True)
              for name in COLUMNS
          },
      }
  )


def _write(
    path: pathlib.Path, table: pa.Table, description: dict[str, Any]
) -> None:
  """Writes a trace to a temporary file and renames it."""
  content = json.dumps(description, sort_keys=True).encode()
  metadata = {_DESCRIPTION: content, _DIGEST: _digest(table, content)}
  sink = pa.BufferOutputStream()
  pq.write_table(table.replace_schema_metadata(metadata), sink)
  artifacts.write_bytes(path, sink.getvalue().to_pybytes())
  artifacts.publish_files([path])
