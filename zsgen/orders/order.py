"""The Order artifact: which example is trained on at which step.

`orders/<arrangement…>-<hash>/` holds
  ids.npy        int64 [n], the order
  order.parquet  position, id, epoch, task, round, distance, similarity; for
                 people and statistics
  manifest.json  its origin, fingerprint, statistics and file hashes
An id may repeat across epochs, but never within one.
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
    model_scores,
    shortlists,
    similarity,
    sources,
    statistics,
)
from zsgen.orders import pool as pool_lib
from zsgen.orders.arrangements import arranged

IDS = "ids.npy"
TABLE = "order.parquet"
# Parameters that are part of the name of an order's directory.
_NAMING = ("by", "score", "measure", "setting", "pick", "sequence")


@dataclasses.dataclass(frozen=True)
class Order:
  """An order that was loaded and checked.

  Attributes:
    path: its directory.
    ids: example ids in training order, int64 [n].
    manifest: its origin, fingerprint, statistics and file hashes.
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
    """The location of its store when it was made."""
    return (self.path / self.manifest["store"]).resolve()

  @functools.cached_property
  def table(self) -> pa.Table:
    """order.parquet, [n] rows."""
    return pq.read_table(self.path / TABLE)

  @functools.cached_property
  def rounds(self) -> np.ndarray:
    """The round of each position, int32 [n]; 0 if there are no rounds."""
    return self.table["round"].to_numpy()

  @functools.cached_property
  def distances(self) -> np.ndarray:
    """The distance that ranked each position, float32 [n], or NaN."""
    return self.table["distance"].to_numpy()

  @functools.cached_property
  def similarity(self) -> np.ndarray:
    """The largest cosine to the target set, float32 [n]; NaN if unknown."""
    return self.table["similarity"].to_numpy()

  def statistics(
      self, store: store_lib.Store, stop: int | None = None
  ) -> dict[str, Any]:
    """Returns `statistics.summary` of the positions before `stop` (default:
    all).
    """
    part = slice(stop)
    return statistics.summary(
        store, self.ids[part], self.rounds[part], self.similarity[part]
    )

  @classmethod
  def load(
      cls, path: pathlib.Path, store: store_lib.Store | None = None
  ) -> "Order":
    """Loads an order and checks that it is complete.

    Args:
      path: the directory of the order.
      store: the store to use it with; None to check only the order.

    Returns:
      The order.

    Raises:
      InputError: the order is missing or damaged, an id occurs twice in an
        epoch, or the order was made for another store.
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
    log: Callable[[str], None] = lambda line: None,
    scorer: model_scores.Scorer = model_scores.NO_SCORER,
    excluded: np.ndarray | None = None,
    make_lists: shortlists.Make = shortlists.make,
) -> Order:
  """Loads the order that a config describes; makes it if necessary.

  With several processes, all of them must call this with the same arguments,
  and the first one writes.

  Args:
    root: the workdir; orders/ and embeddings/ are under it.
    store: the pool (its training rows) and the held-out sets.
    order: the config's section.
    seed: the seed of all draws.
    log: is called with lines about the progress of long work.
    scorer: scores or embeds examples by a model, for orders that need it.
    excluded: ids of training examples that are not in the pool, ascending;
      None for none.
    make_lists: makes the shortlists that TMT begins with.

  Raises:
    InputError: an option is invalid, an artifact is damaged, or nothing is
      left in the pool.
  """
  ids = store.split_ids(suite.TRAIN)
  rows = np.arange(len(ids))
  if excluded is not None:
    rows = _remaining(ids, excluded)
  arrangements.check_target(order)
  arrangements.check_size(order, len(rows))
  recipe = _recipe(store, order, seed, scorer, excluded)
  # Each process reads an order's file, or an encoder's, by itself.
  hosts.agree("order's making", {"order": recipe})
  path = path_of(root, store, order, seed, scorer, excluded)
  if hosts.broadcast("order", artifacts.exists(path)):
    hosts.await_file(path)
    artifacts.check_made_by(path, recipe)
    return Order.load(path, store)
  pool = sources.pool(root, store, log, scorer)
  pool = dataclasses.replace(pool, make_lists=make_lists)
  if excluded is not None:
    pool = pool.take(rows)
  table, notes = tabulate(store, order, pool, seed)
  manifest = dict(
      made_by=recipe,
      store=os.path.relpath(store.path, path),
      **describe(store, table),
      notes=notes,
  )
  if hosts.is_first():
    _write(path, table, manifest)
  hosts.wait("the order")
  hosts.await_file(path)
  return Order.load(path, store)


def tabulate(
    store: store_lib.Store,
    order: config.Order,
    pool: pool_lib.Pool,
    seed: int,
) -> tuple[pa.Table, dict[str, Any]]:
  """Arranges a pool; writes nothing.

  Args:
    store: has the rows.
    order: the config's section.
    pool: training rows of the store.
    seed: the seed of all draws.

  Returns:
    The content of order.parquet, and notes for the manifest.

  Raises:
    InputError: see `arrangements.arrange`.
  """
  assert pool.facts is not None and pool.rows is not None, "rows of a store"
  arrangement = arrangements.arrange(order, pool, seed).map_rows(pool.rows)
  train, heldout = pool.facts.embed(order)
  nearest = np.full(len(arrangement), np.nan, np.float32)
  if train is not None and heldout is not None:
    nearest = similarity.nearest_similarity(
        train.take(arrangement.rows), heldout
    )
  ids = store.split_ids(suite.TRAIN)[arrangement.rows]
  return _table(store, ids, arrangement, nearest), dict(arrangement.notes)


def describe(store: store_lib.Store, table: pa.Table) -> dict[str, Any]:
  """Returns the fingerprint and the statistics of a table of `tabulate`."""
  ids, rounds, nearest = (
      table[name].to_numpy() for name in ("id", "round", "similarity")
  )
  return dict(
      fingerprint=fingerprint(ids, store.fingerprint),
      statistics=statistics.summary(store, ids, rounds, nearest),
  )


def _remaining(ids: np.ndarray, excluded: np.ndarray) -> np.ndarray:
  """Returns the rows of the ids that are not excluded, int64."""
  rows = np.flatnonzero(~np.isin(ids, excluded))
  if not len(rows):
    raise errors.InputError(
        f"config.fork_order is 'rest', but all {len(ids)} training examples"
        " were consumed before the fork. Fork an earlier step, or set"
        " config.fork_order='all'."
    )
  return rows


def path_of(
    root: pathlib.Path,
    store: store_lib.Store,
    order: config.Order,
    seed: int,
    scorer: model_scores.Scorer = model_scores.NO_SCORER,
    excluded: np.ndarray | None = None,
) -> pathlib.Path:
  """Returns the path of an order; see `make` for the arguments."""
  recipe = _recipe(store, order, seed, scorer, excluded)
  return root / "orders" / artifacts.name(_stem(order), recipe)


def _recipe(
    store: store_lib.Store,
    order: config.Order,
    seed: int,
    scorer: model_scores.Scorer,
    excluded: np.ndarray | None,
) -> dict[str, Any]:
  """Returns all that decides an order."""
  recipe = recipe_of(store, order, scorer)
  if excluded is not None:
    recipe["excluded"] = fingerprint(excluded, store.fingerprint)
  return {**recipe, "seed": seed, "store": store.fingerprint}


def recipe_of(
    store: store_lib.Store,
    order: config.Order,
    scorer: model_scores.Scorer = model_scores.NO_SCORER,
) -> dict[str, Any]:
  """Returns what determines an order, except for the seed and the store.

  If nothing uses the target, target and text are None.

  Raises:
    InputError: the arrangement or the embedder is unknown, or the target is not
      a held-out set.
  """
  recipe: dict[str, Any] = dict(
      arrangement=order.arrangement,
      parameters=arrangements.parameters(order),
      target=None,
      target_task=None,
      text=None,
      embedder=None,
  )
  if arrangements.has_parts(order):
    recipe["parts"] = [
        recipe_of(store, part, scorer) for part in arrangements.parts(order)
    ]
  if arrangements.looks_at_target(order):
    sources.target_ids(store, order)
    recipe.update(target=order.target, text=order.text)
    recipe["target_task"] = order.target_task or None
  if order.embedder:
    parts = embeddings.recipe_of(store, order, scorer.models)
    recipe["embedder"] = dict(
        name=order.embedder, parameters=parts["parameters"]
    )
  if score := arrangements.model_score(order):
    recipe["scores"] = scorer.recipe(score)
  return recipe


def fingerprint(ids: np.ndarray, store: str) -> str:
  """Returns the SHA-256 (hex) of ids, int64 [n], and of their store."""
  sha = hashlib.sha256(np.ascontiguousarray(ids, "<i8").data)
  sha.update(store.encode())
  return sha.hexdigest()


def _stem(order: config.Order) -> str:
  """Returns the arrangement and its choices, such as tmt-nearest-rounds."""
  parameters = arrangements.parameters(order)
  words = [parameters[name] for name in _NAMING if name in parameters]
  return "-".join([order.arrangement, *words])


def _table(
    store: store_lib.Store,
    ids: np.ndarray,
    arrangement: arranged.Arranged,
    nearest: np.ndarray,
) -> pa.Table:
  """Returns the content of order.parquet."""
  names = np.array(store.tasks, object)[store.task_index[ids]]
  return pa.table(
      {
          "position": np.arange(len(ids)),
          "id": ids,
          "epoch": arrangement.epochs,
          "task": pa.array(names, pa.string()),
          "round": arrangement.rounds,
          "distance": pa.array(arrangement.distances, from_pandas=True),
          "similarity": pa.array(nearest, from_pandas=True),
      }
  )


def _write(path: pathlib.Path, table: pa.Table, fields: dict[str, Any]) -> None:
  """Writes an order's directory."""
  with artifacts.writing(path) as partial:
    np.save(partial / IDS, table["id"].to_numpy())
    pq.write_table(table, partial / TABLE)
    manifest = dict(kind="order", count=len(table), **fields)
    artifacts.write_manifest(partial, manifest)


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
      raise _damaged(order.path, f"id {twice} occurs twice in one epoch")


def _twice(ids: np.ndarray) -> int | None:
  """Returns the lowest id that occurs twice, or None; int64 [n], n > 0."""
  # Flags are ten times faster than sorting, but damaged ids may be huge.
  if ids.min() >= 0 and ids.max() < 16 * len(ids) + 2**20:
    is_used = np.zeros(ids.max() + 1, bool)
    is_used[ids] = True
    if np.count_nonzero(is_used) == len(ids):
      return None
  ordered = np.sort(ids)
  repeated = ordered[1:][ordered[1:] == ordered[:-1]]
  return int(repeated[0]) if len(repeated) else None


def _check_store(order: Order, store: store_lib.Store) -> None:
  """Raises InputError if the order is not one of the store's training rows."""
  store_fingerprint = order.manifest["made_by"]["store"]
  if store_fingerprint != store.fingerprint:
    raise errors.InputError(
        f"{order.path}: was made for another store ({store_fingerprint[:12]}…) than"
        f" {store.path} ({store.fingerprint[:12]}…). Make the order for this"
        " store, or use the one it was made for."
    )
  wrong = ~np.isin(order.ids, store.split_ids(suite.TRAIN))
  if wrong.any():
    position = int(wrong.argmax())
    raise errors.InputError(
        f"{order.path / IDS}: position {position} is {order.ids[position]}, which is"
        f" not a training example of {store.path}. Make the order again."
    )


def _damaged(path: pathlib.Path, reason: str) -> errors.InputError:
  """Returns the error for an order that is damaged."""
  return errors.InputError(
      f"{path}: the order is damaged: {reason}. Delete the directory to make it"
      " again."
  )
