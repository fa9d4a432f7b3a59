"""What a prefix of an order is made of.

Orders differ in more than distance (how many tasks, how long), so every
comparison prints these columns beside the losses.
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
  """Describes examples of an order, one element an example, n > 0.

  Args:
    store: the store of the ids.
    ids: example ids, int64 [n].
    rounds: rounds they came in, int32 [n]; 0 where there are none.
    similarity: cosine to the nearest held-out example, float32 [n]; NaN
      where it is not known.

  Returns:
    JSON-able: examples; distinct tasks; loss tokens; mean prompt length in
    tokens; mean similarity (None where it is not known); rounds used.
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
