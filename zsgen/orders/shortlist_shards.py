"""Makes the shortlists of TMT by several processes, on one or many hosts.

They share a directory, `orders/.NAME.shards` next to the order NAME, and no
engine. It has
  job.json           config, embeddings and software, on which all must agree
  lists-00000.cells  the lists of a part of the pool, see `shortlists`
A part is consecutive rows of the pool, whose vectors are mapped. The best rows of
all parts are the best rows of the pool, so that the order does not depend on the
parts. It is made when all lists are there, by `merge`.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import math
import pathlib
import shutil
from typing import Any

import numpy as np

from zsgen.core import artifacts, config, errors, schema, shards
from zsgen.data import store as store_lib
from zsgen.orders import cosines, embeddings, shortlists, sources, turns
from zsgen.orders import order as order_lib
from zsgen.orders.arrangements import tmt
from zsgen.orders.embedders import parts

# Version of the directory's layout.
_FORMAT = 1
# Rows of the pool whose lists are made together.
_ROWS = 1 << 18
_LIBRARIES = ("numpy",)
_CODE = (
    "the file zsgen/core/",
    "the file zsgen/data/",
    "the file zsgen/orders/",
)
_LISTS = "cells"
_WORK = {f"lists-*.{_LISTS}": "parts of the pool with lists"}


@dataclasses.dataclass(frozen=True)
class Request:
  """The lists that TMT begins with.

  Attributes:
    train: embeddings of the pool, [N, D].
    heldout: embeddings of the held-out set, [M, D].
    pick: "nearest" or "farthest".
    size: number of rows per example.
    is_exact: whether similarities are cosines, see `turns.rounds`.
  """

  train: embeddings.Embeddings
  heldout: embeddings.Embeddings
  pick: str
  size: int
  is_exact: bool

  def make_part(self, rows: range) -> np.ndarray:
    """Returns the lists of some rows, uint64 [M, size]."""
    vectors = self.train.take(np.arange(rows.start, rows.stop))
    if self.is_exact:
      vectors = cosines.scaled(vectors)
    arguments = vectors, self.heldout, (self.pick,), self.size, rows.start
    return shortlists.make_part(*arguments)[0].cells


@dataclasses.dataclass(frozen=True)
class Job:
  """The common work of several processes.

  Attributes:
    path: its directory.
    recipe: of the order.
    request: what is made.
    owner: what the files belong to.
  """

  path: pathlib.Path
  recipe: Mapping[str, Any]
  request: Request
  owner: str

  def __len__(self) -> int:
    return math.ceil(len(self.request.train) / _ROWS)

  def rows(self, number: int) -> range:
    """Returns the rows of the pool in a part."""
    end = min((number + 1) * _ROWS, len(self.request.train))
    return range(number * _ROWS, end)

  def missing(self) -> list[int]:
    """Returns the numbers of the parts without lists."""
    return [n for n in range(len(self)) if not self._file(n).is_file()]

  def make(self, number: int) -> None:
    """Makes the lists of a part, and commits them."""
    cells = self.request.make_part(self.rows(number))
    parts.write_arrays(self._file(number), self.owner, **{_LISTS: cells})

  def join(self) -> shortlists.Shortlist:
    """Returns the lists of the whole pool.

    Raises:
      InputError: lists of a part are damaged, or of another job.
    """
    request = self.request
    lists = shortlists.Shortlist(
        request.pick, len(request.heldout), request.size
    )
    for number in range(len(self)):
      arrays = parts.read_arrays(self._file(number), self.owner)
      if arrays is None:
        raise errors.InputError(
            f"{self._file(number)}: is damaged. It may be of another job."
            " Delete it, and run its shard again: other lists remain. No order"
            " is made."
        )
      lists.extend(arrays[_LISTS])
    return lists

  def _file(self, number: int) -> pathlib.Path:
    return self.path / f"lists-{number:05d}.{_LISTS}"


def list_shard(
    root: pathlib.Path,
    store: store_lib.Store,
    order: config.Order,
    seed: int,
    shard: shards.Shard,
    log: Callable[[str], None] = lambda line: None,
) -> shards.Progress:
  """Makes the lists of the parts of a shard; skips those that exist.

  Args:
    root: the workdir, which has the embeddings.
    store: the pool and the held-out sets.
    order: an order of the arrangement `tmt`.
    seed: of the order.
    shard: which parts.
    log: is called with a line for each part.

  Raises:
    InputError: another arrangement, no embeddings, or another config or
      installation than that of other shards.
  """
  if artifacts.exists(order_lib.path_of(root, store, order, seed)):
    return shards.Progress(0, 0, 0, is_merged=True)
  job = _open(root, store, order, seed, create=True)
  numbers = shard.share(range(len(job)))
  missing = {*job.missing()}
  for number in numbers:
    if number in missing:
      job.make(number)
      log(f"lists    {number + 1:,} of {len(job):,} parts of the pool")
  rows = sum(len(job.rows(number)) for number in numbers)
  return shards.Progress(len(numbers), rows, len(job.missing()))


def merge(
    root: pathlib.Path,
    store: store_lib.Store,
    order: config.Order,
    seed: int,
    log: Callable[[str], None] = lambda line: None,
) -> order_lib.Order:
  """Makes the order of lists that shards have made, and loads it.

  It has the ids of an order that a single process makes. The shards are deleted
  then. An order that exists is loaded.

  Args:
    root: the workdir, which has the embeddings.
    store: the pool and the held-out sets.
    order: an order of the arrangement `tmt`.
    seed: of the order.
    log: is called with lines about the progress.

  Raises:
    InputError: names lists that are missing, damaged, or of another config or
      installation; no order is made then.
  """
  path = order_lib.path_of(root, store, order, seed)
  if artifacts.exists(path):
    return order_lib.make(root, store, order, seed, log)
  job = _open(root, store, order, seed, create=False)
  if missing := job.missing():
    raise errors.InputError(
        shards.describe_missing(
            job.path,
            missing,
            len(job),
            "parts of the pool have no lists",
            "No order is",
            shards.describe_others(job.path, job.recipe, _WORK),
        )
    )

  def make_lists(
      train: embeddings.Embeddings,
      heldout: embeddings.Embeddings,
      picks: Sequence[str],
      size: int,
  ) -> list[shortlists.Shortlist]:
    """Joins the lists of the shards instead of making them."""
    request = job.request
    assert list(picks) == [request.pick] and size == request.size
    return [job.join()]

  result = order_lib.make(root, store, order, seed, log, make_lists=make_lists)
  shutil.rmtree(job.path, ignore_errors=True)
  return result


def _open(
    root: pathlib.Path,
    store: store_lib.Store,
    order: config.Order,
    seed: int,
    create: bool,
) -> Job:
  """Opens the job of an order, or begins it.

  Raises:
    InputError: see `list_shard`; or there is no job.
  """
  request = _request(root, store, order)
  path = shards.path_of(order_lib.path_of(root, store, order, seed))
  recipe = {
      **order_lib.recipe_of(store, order),
      "seed": seed,
      "store": store.fingerprint,
      "embeddings": request.train.digest,
  }
  installed = shards.describe_software(_LIBRARIES, _CODE)
  if not path.is_dir():
    if not create:
      hints = shards.describe_others(path, recipe, _WORK)
      message = shards.describe_absence(path, "listed", hints)
      raise errors.InputError(message)
    fields = {"format": _FORMAT, "made_by": recipe, "software": installed}
    shards.begin_job(path, fields)
  fields = shards.read_job(path, _FORMAT, recipe, installed)
  return Job(path, recipe, request, artifacts.digest(fields))


def _request(
    root: pathlib.Path, store: store_lib.Store, order: config.Order
) -> Request:
  """Returns the lists that an order begins with.

  Raises:
    InputError: another arrangement, or no embeddings.
  """
  if order.arrangement != "tmt":
    raise errors.InputError(
        f"config.order.arrangement: {order.arrangement!r} is arranged by one"
        " process; shards make the shortlists of 'tmt'. Leave --shard and"
        " --merge out."
    )
  if order.embedder and not artifacts.exists(
      embeddings.path_of(root, embeddings.recipe_of(store, order))
  ):
    raise errors.InputError(
        f"{root / 'embeddings'}: the embeddings of this config do not exist."
        " Make them first: python -m zsgen.orders embed."
    )
  pool = sources.pool(root, store).looking(order)
  train, heldout = pool.embedded()
  options = schema.options_of(order, tmt.Options)
  size = turns.list_size(train, heldout, tmt.count_needed(pool, options))
  is_exact = options.cosine == "exact"
  return Request(train, heldout, options.pick, size, is_exact)
