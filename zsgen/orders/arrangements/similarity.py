"""Similarity: the shared examples, nearest (farthest) first by a measure."""

import dataclasses

import numpy as np

from zsgen.core import errors, registry
from zsgen.core.schema import option
from zsgen.orders import embeddings, measures
from zsgen.orders import pool as pool_lib
from zsgen.orders.arrangements import arranged, multiset, ranked


@dataclasses.dataclass(frozen=True)
class Options(multiset.Options):
  """The options of `similarity`."""

  # The distance of an example to the held-out set.
  measure: str = option("wsd", choices=tuple(measures.MEASURES))
  # What is measured and sorted. instance: examples; task: whole tasks.
  granularity: str = option("instance", choices=("instance", "task"))
  # Which examples come first; random: the sequence is random.
  pick: str = option("nearest", choices=("nearest", "farthest", "random"))
  # How nearness is computed. grid: the dot product of vectors on the grid;
  # exact: their cosine in float64, as in the released code except for its
  # float32 sums.
  cosine: str = option("grid", choices=("grid", "exact"), newer=True)

  def check(self, location: str) -> None:
    """Raises InputError if the measure has no cosines that could be exact."""
    super().check(location)
    if self.cosine == "exact" and self.measure not in measures.EXACT:
      raise errors.InputError(
          f"{location}.cosine is 'exact', but the measure {self.measure} does not"
          f" read it. Leave it out, or use one of {', '.join(measures.EXACT)}."
      )

  @property
  def reads_texts(self) -> bool:
    """Whether texts of the held-out set are read without an embedder."""
    return self.measure in measures.OF_TEXTS

  @property
  def reads_vectors(self) -> bool:
    """Whether the sequence depends on vectors of examples."""
    return self.pick != "random" and not self.reads_texts


@registry.arrangement("similarity", options=Options)
def similarity(
    pool: pool_lib.Pool, options: Options, seed: int
) -> arranged.Arranged:
  """Sorts the shared examples by their distance to the held-out set.

  The set is that of `random`: nearest, farthest and random differ in sequence
  alone (2406.11721, spec E4). By task (spec E5), it is the task's mean
  embedding that is measured, tasks are sorted, and examples keep the suite's
  order inside a task.

  Args:
    pool: the rows with embeddings, [N].
    options: `measure` is a name in `zsgen.orders.measures`; for `as_released`
      see `ranked.ranked`.
    seed: of the shuffle.

  Returns:
    The order; a row's distance is the measure.
  """
  rows, _ = multiset.passes(pool.tasks, options.budget, options.per_task)
  ranking = (options.pick, seed, options.as_released)
  if options.granularity == "instance":
    keys, notes = measures.measure(
        options.measure, pool.take(rows), options.cosine
    )
    return ranked.ranked(rows, keys, *ranking).with_notes(**notes)
  tasks, groups = np.unique(pool.tasks[rows], return_inverse=True)
  keys, notes = measures.measure(
      options.measure, _task_pool(pool, rows, groups), options.cosine
  )
  sequence = ranked.ranked(tasks, keys, *ranking)
  rank = np.empty(len(tasks), np.int64)
  rank[np.searchsorted(tasks, sequence.rows)] = np.arange(len(tasks))
  order = np.argsort(rank[groups], kind="stable")
  arranged_rows = arranged.from_rows(rows[order], distances=keys[groups][order])
  return arranged_rows.with_notes(**notes)


def _task_pool(
    pool: pool_lib.Pool, rows: np.ndarray, groups: np.ndarray
) -> pool_lib.Pool:
  """A pool with a row a task: the mean of its rows, of unit length."""
  train, heldout = pool.embedded()
  sums = np.zeros((groups.max() + 1, train.dim))
  for part, block in train.take(rows).blocks():
    np.add.at(sums, groups[part], block)
  means = sums / np.linalg.norm(sums, axis=1, keepdims=True)
  return pool_lib.Pool(
      np.arange(len(means)),
      train=embeddings.Embeddings(means.astype(np.float32)),
      heldout=heldout,
  )
