"""The accuracy of one answer for all examples of a task."""

import collections
from collections.abc import Hashable, Sequence

import numpy as np

from zsgen.data import store as store_lib


def share(
    store: store_lib.Store, rows: np.ndarray, examples: np.ndarray
) -> float:
  """Returns the share of examples that their task's majority answer is right for.

  That is the answer that is right for the most examples of the task that are
  evaluated. Answers are compared by their tokens.

  Args:
    store: where the rows are.
    rows: the right answers, rows of the store, int64 [R].
    examples: the id of the example of each row, int64 [R].
  """
  tasks = store.task_index[examples].tolist()
  answers = [_answer(store.row(row)) for row in rows]
  by_task: dict[int, collections.Counter[Hashable]] = {}
  # An example may have one answer twice.
  for _, task, answer in {*zip(examples.tolist(), tasks, answers, strict=True)}:
    by_task.setdefault(task, collections.Counter())[answer] += 1
  right = sum(max(counts.values()) for counts in by_task.values())
  return right / len(np.unique(examples))


def most_frequent(answers: Sequence[str], tasks: np.ndarray) -> list[str]:
  """Returns the most frequent answer of each example's task.

  Args:
    answers: the answer of each example; the first of equals counts.
    tasks: the task of each example, int [E].
  """
  counters: dict[int, collections.Counter[str]] = {}
  for answer, task in zip(answers, tasks.tolist(), strict=True):
    counters.setdefault(task, collections.Counter())[answer] += 1
  best = {
      task: counts.most_common(1)[0][0] for task, counts in counters.items()
  }
  return [best[task] for task in tasks.tolist()]


def _answer(row: store_lib.TokenRow) -> bytes:
  """Returns the tokens with loss as a key."""
  return row.tokens[row.mask.astype(bool)].tobytes()
