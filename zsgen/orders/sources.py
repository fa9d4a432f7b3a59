"""The pool of a store, with all that an arrangement may ask about it."""

from collections.abc import Callable
import functools
import pathlib

import numpy as np

from zsgen.core import config, errors
from zsgen.data import store as store_lib
from zsgen.data import suite
from zsgen.orders import embeddings
from zsgen.orders import pool as pool_lib


def pool(
    root: pathlib.Path,
    store: store_lib.Store,
    say: Callable[[str], None] = lambda line: None,
) -> pool_lib.Pool:
  """The training rows of a store, in the suite's order.

  Args:
    root: the workdir, for embeddings.
    store: the rows.
    say: takes lines on the progress of long work.
  """
  ids = store.split_ids(suite.TRAIN)
  tasks = store.task_index[ids]

  @functools.cache
  def embed(order: config.Order) -> pool_lib.Vectors:
    if not order.embedder:
      return None, None
    whole = embeddings.obtain(root, store, order, say)
    return whole.take(ids), whole.take(target_ids(store, order))

  def texts(
      order: config.Order, rows: np.ndarray
  ) -> tuple[list[str], list[str]]:
    wanted = ids[rows], target_ids(store, order)
    own, theirs = (
        embeddings.texts_of(store, order.text, each) for each in wanted
    )
    return own, theirs

  _, categories = np.unique(store.categories, return_inverse=True)
  return pool_lib.Pool(
      tasks=tasks,
      categories=categories[tasks],
      rows=np.arange(len(ids)),
      facts=pool_lib.Facts(
          embed=embed,
          texts=texts,
          ids=ids,
          names=store.tasks,
          keys=functools.cache(lambda: store.keys(ids)),
      ),
  )


def target_ids(store: store_lib.Store, order: config.Order) -> np.ndarray:
  """Ids of the held-out examples that an order looks at, ascending, int64.

  Raises:
    InputError: no such held-out set, or no such task in it.
  """
  if order.target == suite.TRAIN:
    raise errors.InputError(
        "config.order.target must be a held-out set, not the training set."
    )
  ids = store.split_ids(order.target)
  if not order.target_task:
    return ids
  tasks = {store.tasks[i]: i for i in store.split_tasks(order.target)}
  wanted = errors.choose(tasks, order.target_task, "config.order.target_task")
  return ids[store.task_index[ids] == wanted]
