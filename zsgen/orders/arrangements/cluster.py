"""Cluster: task by task, category by category, or cluster by cluster."""

import numpy as np

from zsgen.core import errors
from zsgen.orders import embeddings
from zsgen.orders import pool as pool_lib
from zsgen.orders.arrangements import arranged, multiset


def arrange(
    pool: pool_lib.Pool,
    *,
    budget: int,
    per_task: int,
    by: str,
    clusters: int,
    as_released: bool,
    seed: int,
) -> arranged.Arranged:
  """The shared examples, one cluster after another (2406.11721, spec 2.2).

  Inside a cluster examples stand in passes over its tasks. The paper takes
  tasks in the order of its key list; here the seed shuffles clusters, so that
  several seeds tell the effect of clusters from that of a list.

  Args:
    pool: the rows, [N].
    budget: rows in the order; -1: all.
    per_task: most rows of one task; -1: no limit.
    by: "task", "category", or "kmeans" over embeddings.
    clusters: of k-means.
    as_released: clusters in the suite's order (of k-means: by their first
      row), not shuffled.
    seed: of the sequence of clusters, and of k-means.
  """
  rows, _ = multiset.passes(pool.tasks, budget, per_task)
  labels = {
      "task": lambda: pool.tasks[rows],
      "category": lambda: pool.categories[rows],
      "kmeans": lambda: _kmeans(pool.embedded()[0].take(rows), clusters, seed),
  }[by]()
  _, first, labels = np.unique(labels, return_index=True, return_inverse=True)
  if as_released:
    # Rows of the first pass stand in the suite's order.
    turn = np.argsort(np.argsort(first, kind="stable"), kind="stable")
  else:
    turn = arranged.permutation("cluster", seed, len(first))
  found = arranged.of(rows[np.argsort(turn[labels], kind="stable")])
  return found.telling(clusters=len(first))


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
  means = sklearn.cluster.KMeans(clusters, n_init=1, random_state=seed % 2**32)
  with threadpoolctl.threadpool_limits(1):
    return means.fit(dense).labels_
