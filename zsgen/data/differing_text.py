"""Shortens prompts to what tells the examples of a task apart."""

import itertools
import re

import numpy as np

from zsgen.data import store as store_lib

# Examples of a task, at most, that its common beginning is taken from.
_COMPARED = 16


def differing_parts(store: store_lib.Store, ids: np.ndarray) -> list[str]:
  """Returns prompts without what the prompts of their task begin with.

  A definition or solved examples that a task shows every time are replaced by
  "…". Words are kept whole.

  Args:
    store: has the prompts.
    ids: of examples, int64 [n].
  """
  tasks = store.task_index[ids].tolist()
  lengths = {task: _shared_length(store, task) for task in set(tasks)}
  texts = []
  for task, (prompt, _) in zip(tasks, store.texts(ids), strict=True):
    rest = prompt[lengths[task] :]
    texts.append(f"…{rest}" if lengths[task] and rest.strip() else prompt)
  return texts


def _shared_length(store: store_lib.Store, task: int) -> int:
  """Returns the number of characters that prompts of a task begin with."""
  # Rows stand task by task.
  first, last = np.searchsorted(store.task_index, [task, task + 1])
  count = min(last - first, _COMPARED)
  sample = np.linspace(first, last - 1, count).astype(np.int64)
  prompts = {prompt for prompt, _ in store.texts(sample)}
  if len(prompts) < 2:
    return 0
  # What the first and the last one share, all between them share too.
  first_prompt, last_prompt = min(prompts), max(prompts)
  pairs = zip(first_prompt, last_prompt, strict=False)
  shared = sum(
      1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)
  )
  return len(re.sub(r"\S*\Z", "", first_prompt[:shared]))
