"""The Order artifact: which example is trained on at which step.

`orders/<arrangement…>-<hash>/` holds
  ids.npy        int64 [n], the order
  order.parquet  position, id, epoch, task, round, distance, similarity; for
                 people and statistics
  manifest.json  what made it, its fingerprint, statistics and file hashes
An id may repeat across epochs, never inside one.
"""

from collections.abc import Callable
import dataclasses
import functools
import hashlib
import os
import pathlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from zsgen.core import artifacts, config, errors, hosts
from zsgen.data import store as store_lib
from zsgen.data import suite
from zsgen.orders import (
    arrangements,
    embeddings,
    similarity,
    sources,
    statistics,
)
from zsgen.orders.arrangements import arranged

IDS = "ids.npy"
TABLE = "order.parquet"
# Parameters that an order's directory is named by.
_NAMING = ("by", "measure", "setting", "pick", "sequence")


@dataclasses.dataclass(frozen=True)
class Order:
  """An order that was loaded and checked.

  Attributes:
    path: its directory.
    ids: example ids in the sequence of training, int64 [n].
    manifest: what made it, fingerprint, statistics and file hashes.
  """

  path: pathlib.Path
  ids: np.ndarray
  manifest: dict[str, Any]

  def __len__(self) -> int:
    return len(self.ids)

  @property
  def fingerprint(self) -> str:
    """SHA-256 (hex) of the ids and the store's fingerprint."""
    return self.manifest["fingerprint"]

  @property
  def store_path(self) -> pathlib.Path:
    """Where the store that it was made for was."""
    return (self.path / self.manifest["store"]).resolve()

  @functools.cached_property
  def table(self) -> pa.Table:
    """order.parquet, [n] rows."""
    return pq.read_table(self.path / TABLE)

  @functools.cached_property
  def rounds(self) -> np.ndarray:
    """Round of each position, int32 [n]; 0 where there are none."""
    return self.table["round"].to_numpy()

  @functools.cached_property
  def distances(self) -> np.ndarray:
    """What ranked each position, float32 [n]; NaN where nothing did."""
    return self.table["distance"].to_numpy()

  @functools.cached_property
  def similarity(self) -> np.ndarray:
    """Largest cosine to the target set, float32 [n]; NaN if not known."""
    return self.table["similarity"].to_numpy()

  def statistics(
      self, store: store_lib.Store, stop: int | None = None
  ) -> dict[str, Any]:
    """`statistics.summary` of the positions before `stop` (all of them)."""
    part = slice(stop)
    return statistics.summary(
        store, self.ids[part], self.rounds[part], self.similarity[part]
    )

  @classmethod
  def load(
      cls, path: pathlib.Path, store: store_lib.Store | None = None
  ) -> "Order":
    """Loads an order and checks that it is whole.

    Args:
      path: its directory.
      store: the store it will be read with; None to check the order alone.

    Returns:
      The order.

    Raises:
      InputError: it is not there or damaged, an id comes twice in an epoch,
        or it was made for another store.
    """
    manifest = artifacts.read_manifest(path, "order")
    try:
      artifacts.check_files(path, manifest["files"])
      ids = np.load(path / IDS, allow_pickle=False)
      order = cls(path, ids, manifest)
      _check_content(order)
    except (OSError, ValueError, KeyError) as error:
      raise _damaged(path, f"{type(error).__name__} {error}") from error
    if store is not None:
      _check_store(order, store)
    return order


def make(
    root: pathlib.Path,
    store: store_lib.Store,
    order: config.Order,
    seed: int,
    say: Callable[[str], None] = lambda line: None,
) -> Order:
  """Loads the order that a config describes, made where absent.

  With several processes, all of them must call this with the same arguments,
  and the first one writes.

  Args:
    root: the workdir; orders/ and embeddings/ are under it.
    store: the pool (its training rows) and the held-out sets.
    order: the config's section.
    seed: of all that is drawn.
    say: takes lines on the progress of long work.

  Raises:
    InputError: a bad option, or an artifact that is damaged.
  """
  ids = store.split_ids(suite.TRAIN)
  arrangements.check(order, len(ids))
  made = {**made_by(store, order), "seed": seed, "store": store.fingerprint}
  # Each process reads an order's file, or an encoder's, by itself.
  hosts.agree("order's making", {"order": made})
  path = root / "orders" / artifacts.name(_stem(order), made)
  if hosts.broadcast("order", path.exists()):
    hosts.await_file(path)
    artifacts.check_made_by(path, made)
    return Order.load(path, store)
  pool = sources.pool(root, store, say)
  picked = arrangements.arrange(order, pool, seed)
  train, heldout = pool.facts.embed(order)
  nearest = np.full(len(picked.rows), np.nan, np.float32)
  if train is not None:
    nearest = similarity.nearest_similarity(train.take(picked.rows), heldout)
  ids = ids[picked.rows]
  about = dict(
      made_by=made,
      store=os.path.relpath(store.path, path),
      fingerprint=fingerprint(ids, store.fingerprint),
      statistics=statistics.summary(store, ids, picked.rounds, nearest),
      notes=dict(picked.notes),
  )
  if hosts.is_first():
    _write(path, _table(store, ids, picked, nearest), about)
  hosts.wait("the order")
  hosts.await_file(path)
  return Order.load(path, store)


def made_by(store: store_lib.Store, order: config.Order) -> dict[str, Any]:
  """All that decides an order but the seed and the store.

  Where nothing looks at the target, target and text are None.

  Raises:
    InputError: an unknown arrangement or embedder, or a target that is not a
      held-out set.
  """
  made = dict(
      arrangement=order.arrangement,
      parameters=arrangements.parameters(order),
      target=None,
      target_task=None,
      text=None,
      embedder=None,
  )
  if arrangements.has_parts(order):
    made["parts"] = [made_by(store, part) for part in order.parts]
  if arrangements.looks_at_target(order):
    sources.target_ids(store, order)
    made.update(target=order.target, text=order.text)
    made["target_task"] = order.target_task or None
  if order.embedder:
    parts = embeddings.made_by(store, order)
    made["embedder"] = dict(name=order.embedder, parameters=parts["parameters"])
  return made


def fingerprint(ids: np.ndarray, store: str) -> str:
  """SHA-256 (hex) of ids (int64 [n]) and the fingerprint of their store."""
  sha = hashlib.sha256(np.ascontiguousarray(ids, "<i8"))
  sha.update(store.encode())
  return sha.hexdigest()


def _stem(order: config.Order) -> str:
  """Arrangement and the choices in it, such as tmt-nearest-rounds."""
  known = arrangements.parameters(order)
  words = [known[name] for name in _NAMING if name in known]
  return "-".join([order.arrangement, *words])


def _table(
    store: store_lib.Store,
    ids: np.ndarray,
    picked: arranged.Arranged,
    nearest: np.ndarray,
) -> pa.Table:
  """What order.parquet holds."""
  names = np.array(store.tasks, object)[store.task_index[ids]]
  return pa.table(
      {
          "position": np.arange(len(ids)),
          "id": ids,
          "epoch": picked.epochs,
          "task": pa.array(names, pa.string()),
          "round": picked.rounds,
          "distance": pa.array(picked.distances, from_pandas=True),
          "similarity": pa.array(nearest, from_pandas=True),
      }
  )


def _write(path: pathlib.Path, table: pa.Table, about: dict[str, Any]) -> None:
  """Writes an order's directory."""
  with artifacts.writing(path) as beside:
    np.save(beside / IDS, table["id"].to_numpy())
    pq.write_table(table, beside / TABLE)
    files = {
        name: artifacts.file_digest(beside / name) for name in (IDS, TABLE)
    }
    manifest = dict(kind="order", count=len(table), files=files, **about)
    artifacts.write_manifest(beside, manifest)


def _check_content(order: Order) -> None:
  """Raises InputError if ids, table and manifest do not agree."""
  ids, manifest = order.ids, order.manifest
  if fingerprint(ids, manifest["made_by"]["store"]) != order.fingerprint:
    raise _damaged(order.path, f"{IDS} does not have its fingerprint")
  table = pq.read_table(order.path / TABLE, columns=["id", "epoch"])
  if not np.array_equal(ids, table["id"].to_numpy()):
    raise _damaged(order.path, f"{TABLE} has other ids than {IDS}")
  epochs = table["epoch"].to_numpy()
  for epoch in np.unique(epochs):
    twice = _twice(ids[epochs == epoch])
    if twice is not None:
      raise _damaged(order.path, f"id {twice} comes twice in one epoch")


def _twice(ids: np.ndarray) -> int | None:
  """The lowest id that is there twice, if any; ids are int64 [n], n > 0."""
  # A flag an id is ten times as quick as sorting; damaged ids may be huge.
  if ids.min() >= 0 and ids.max() < 16 * len(ids) + 2**20:
    seen = np.zeros(ids.max() + 1, bool)
    seen[ids] = True
    if np.count_nonzero(seen) == len(ids):
      return None
  inside = np.sort(ids)
  again = inside[1:][inside[1:] == inside[:-1]]
  return int(again[0]) if len(again) else None


def _check_store(order: Order, store: store_lib.Store) -> None:
  """Raises InputError if the order is not one of the store's training rows."""
  made_for = order.manifest["made_by"]["store"]
  if made_for != store.fingerprint:
    raise errors.InputError(
        f"{order.path}: was made for another store ({made_for[:12]}…) than"
        f" {store.path} ({store.fingerprint[:12]}…). Make the order for this"
        " store, or use the one it was made for."
    )
  wrong = ~np.isin(order.ids, store.split_ids(suite.TRAIN))
  if wrong.any():
    place = int(wrong.argmax())
    raise errors.InputError(
        f"{order.path / IDS}: position {place} is {order.ids[place]}, which is"
        f" no training example of {store.path}. Make the order again."
    )


def _damaged(path: pathlib.Path, what: str) -> errors.InputError:
  return errors.InputError(
      f"{path}: the order is damaged: {what}. Delete the directory to have it"
      " made again."
  )
