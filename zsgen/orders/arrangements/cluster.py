"""Cluster: task by task, category by category, or cluster by cluster."""

import dataclasses
from typing import Any

import numpy as np

from zsgen.core import errors, registry
from zsgen.core.schema import option
from zsgen.orders import embeddings
from zsgen.orders import pool as pool_lib
from zsgen.orders.arrangements import arranged, multiset


@dataclasses.dataclass(frozen=True)
class Options(multiset.Options):
  """The options of `cluster`."""

  # What a cluster is: a task, a category, or a k-means cluster of embeddings.
  by: str = option("task", choices=("task", "category", "kmeans"))
  # Number of k-means clusters.
  clusters: int = option(100, low=1)

  def check(self, location: str) -> None:
    """Raises InputError for a number of clusters that nothing reads."""
    super().check(location)
    if self.by != "kmeans" and self.clusters != Options.clusters:
      raise errors.InputError(
          f"{location}.clusters is {self.clusters}, but {location}.by is"
          f" {self.by!r}: only by='kmeans' reads it."
      )

  @property
  def reads_vectors(self) -> bool:
    """Whether the sequence depends on vectors of examples."""
    return self.by == "kmeans"


@registry.arrangement("cluster", options=Options)
def cluster(
    pool: pool_lib.Pool, options: Options, seed: int
) -> arranged.Arranged:
  """Arranges the shared examples by cluster (2406.11721, spec 2.2).

  Inside a cluster examples are in passes over its tasks. The paper takes
  tasks in the order of its key list; here the seed shuffles clusters, so that
  several seeds separate the effect of clusters from that of a list.

  Args:
    pool: the rows, [N].
    options: `as_released` takes clusters in the suite's order (those of
      k-means by their first row) and does not shuffle them.
    seed: of the sequence of clusters, and of k-means.
  """
  rows, _ = multiset.passes(pool.tasks, options.budget, options.per_task)
  _, first, labels = np.unique(
      _labels(pool, rows, options, seed),
      return_index=True,
      return_inverse=True,
  )
  if options.as_released:
    # Rows of the first pass stand in the suite's order.
    turn = np.argsort(np.argsort(first, kind="stable"), kind="stable")
  else:
    turn = arranged.permutation("cluster", seed, len(first))
  sequence = arranged.from_rows(rows[np.argsort(turn[labels], kind="stable")])
  return sequence.with_notes(clusters=len(first))


def _labels(
    pool: pool_lib.Pool, rows: np.ndarray, options: Options, seed: int
) -> np.ndarray:
  """Returns the cluster of each row, int [n]."""
  if options.by == "task":
    return pool.tasks[rows]
  if options.by == "category":
    assert pool.categories is not None, "a store's pool has them"
    return pool.categories[rows]
  return _kmeans(pool.embedded()[0].take(rows), options.clusters, seed)


def _kmeans(
    vectors: embeddings.Embeddings, clusters: int, seed: int
) -> np.ndarray:
  """Cluster of each vector, int [n], by scikit-learn on one thread.

  Centres are float sums: the same on one machine and one version of
  scikit-learn, not promised to be so on another.
  """
  try:
    import sklearn.cluster
    import threadpoolctl
  except ImportError as error:
    raise errors.InputError(
        "config.order.by='kmeans' needs scikit-learn: pip install"
        " 'zsgen[orders]'."
    ) from error
  if clusters > len(vectors):
    raise errors.InputError(
        f"config.order.clusters is {clusters}, but there are {len(vectors)}"
        " examples to cluster. Lower it."
    )
  dense = np.concatenate([block for _, block in vectors.blocks()])
  # scikit-learn's annotations are guessed from its defaults.
  estimator: Any = sklearn.cluster.KMeans
  means = estimator(clusters, n_init=1, random_state=seed % 2**32)
  with threadpoolctl.threadpool_limits(1):
    return means.fit(dense).labels_
