"""Statistics of a prefix of an order.

Orders differ in more than distance, such as the number of tasks and the
lengths, so every comparison prints these columns next to the losses.
"""

from typing import Any

import numpy as np

from zsgen.data import store as store_lib


def summary(
    store: store_lib.Store,
    ids: np.ndarray,
    rounds: np.ndarray,
    similarity: np.ndarray,
) -> dict[str, Any]:
  """Describes examples of an order, one element per example, n > 0.

  Args:
    store: the store of the ids.
    ids: example ids, int64 [n].
    rounds: round of each example, int32 [n]; 0 without rounds.
    similarity: cosine to the nearest held-out example, float32 [n]; NaN if it
      is unknown.

  Returns:
    JSON values: the number of examples, of distinct tasks and of loss tokens;
    the mean prompt length in tokens; the mean similarity (None if unknown); the
    number of rounds.
  """
  nearest = float(similarity.mean(dtype=np.float64))
  return dict(
      examples=len(ids),
      tasks=len(np.unique(store.task_index[ids])),
      loss_tokens=int(store.loss_lengths[ids].sum(dtype=np.int64)),
      mean_prompt_tokens=float(store.prompt_lengths[ids].mean()),
      mean_similarity=None if np.isnan(nearest) else nearest,
      rounds=len(np.unique(rounds[rounds > 0])),
  )
