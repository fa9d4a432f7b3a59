"""Makes the pool of a store, with the facts that arrangements may use."""

from collections.abc import Callable
import functools
import pathlib

import numpy as np

from zsgen.core import config, errors
from zsgen.data import store as store_lib
from zsgen.data import suite
from zsgen.orders import embeddings, model_scores, score_files, text_hashes
from zsgen.orders import pool as pool_lib

# Scores that a store has: the tokens of each example, of its prompt, and with
# loss.
_LENGTHS: dict[str, Callable[[store_lib.Store], np.ndarray]] = {
    "tokens": lambda store: store.lengths,
    "prompt_tokens": lambda store: store.prompt_lengths,
    "loss_tokens": lambda store: store.loss_lengths,
}


def pool(
    root: pathlib.Path,
    store: store_lib.Store,
    log: Callable[[str], None] = lambda line: None,
    scorer: model_scores.Scorer = model_scores.NO_SCORER,
    vectors: embeddings.Embeddings | None = None,
) -> pool_lib.Pool:
  """Returns the training rows of a store, in the suite's order.

  Args:
    root: the workdir, for embeddings.
    store: the rows.
    log: is called with lines about the progress of long work.
    scorer: scores or embeds rows by a model.
    vectors: embeddings by example id of whatever order looks at the pool; None
      for those of its embedder, which are made if necessary.
  """
  ids = store.split_ids(suite.TRAIN)
  tasks = store.task_index[ids]

  @functools.cache
  def embed(order: config.Order) -> pool_lib.Vectors:
    """Returns the embeddings of the rows and of the target."""
    if not order.embedder:
      return None, None
    rows = vectors
    if rows is None:
      rows = embeddings.obtain(root, store, order, log, scorer.models)
    return rows.take(ids), rows.take(target_ids(store, order))

  def texts(
      order: config.Order, rows: np.ndarray
  ) -> tuple[list[str], list[str]]:
    """Returns the texts of rows and of the target."""
    sides = ids[rows], target_ids(store, order)
    train, heldout = (
        embeddings.texts_of(store, order.text, side) for side in sides
    )
    return train, heldout

  @functools.cache
  def scores(name: str) -> np.ndarray:
    """Returns the named scores of all rows, those of a store or of a model."""
    if name in _LENGTHS:
      return _LENGTHS[name](store)[ids].astype(np.float64)
    return scorer.obtain(name).astype(np.float64)

  @functools.cache
  def file_scores(path: str, column: str) -> np.ndarray:
    """Returns the scores of a file, which is read once for all its parts."""
    return score_files.read(pool_of_store, path, column)

  _, categories = np.unique(store.categories, return_inverse=True)
  pool_of_store = pool_lib.Pool(
      tasks=tasks,
      categories=categories[tasks],
      rows=np.arange(len(ids)),
      facts=pool_lib.Facts(
          embed=embed,
          texts=texts,
          ids=ids,
          names=store.tasks,
          keys=functools.cache(lambda: store.keys(ids)),
          lengths=lambda: store.lengths[ids],
          scores=scores,
          file_scores=file_scores,
          text_hashes=lambda rows: text_hashes.compute(store, ids[rows]),
      ),
  )
  return pool_of_store


def target_ids(store: store_lib.Store, order: config.Order) -> np.ndarray:
  """Returns the held-out ids that an order uses, ascending, int64.

  Raises:
    InputError: there is no such held-out set, or no such task in it.
  """
  if order.target == suite.TRAIN:
    raise errors.InputError(
        "config.order.target must be a held-out set, not the training set."
    )
  ids = store.split_ids(order.target)
  if not order.target_task:
    return ids
  tasks = {store.tasks[i]: i for i in store.split_tasks(order.target)}
  task = errors.choose(tasks, order.target_task, "config.order.target_task")
  return ids[store.task_index[ids] == task]
