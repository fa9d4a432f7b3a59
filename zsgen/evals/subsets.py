"""Which examples of a held-out set are evaluated, and what tasks make of it."""

from collections.abc import Mapping, Sequence

import numpy as np

from zsgen.core import config, errors, occurrences
from zsgen.data import store as store_lib

# Of a set of more, each task's metrics would be most of what a run writes.
MOST_TASKS = 1000


def choose(ids: np.ndarray, tasks: np.ndarray, limit: int) -> np.ndarray:
  """Chooses examples so that every task is kept while there is room.

  Of each task the first, then of each the second, …, until the number is
  reached.

  Args:
    ids: in the sequence in which they are taken, int64 [E].
    tasks: task of each, int [E].
    limit: the highest number of examples; -1: all.

  Returns:
    The ids of the chosen examples, ascending.
  """
  if limit < 0 or limit >= len(ids):
    return np.sort(ids)
  turns = occurrences.count_earlier(tasks)
  return np.sort(ids[np.argsort(turns, kind="stable")[:limit]])


def draw(ids: np.ndarray, tasks: np.ndarray, spec: config.Eval) -> np.ndarray:
  """Chooses examples as an evaluation says.

  Args:
    ids: all examples of the set that may be evaluated, ascending, int64 [E].
    tasks: task of each, int [E].
    spec: `draw`, `per_task` and `max_examples` of `config.evals.NAME`.

  Returns:
    The ids of the chosen examples, ascending. Of a random sequence, the first
    `max_examples` are taken, and so some tasks may have none.
  """
  if spec.draw is not None:
    sequence = np.random.default_rng(spec.draw).permutation(len(ids))
    ids, tasks = ids[sequence], tasks[sequence]
  if spec.per_task >= 0:
    is_early = occurrences.count_earlier(tasks) < spec.per_task
    ids, tasks = ids[is_early], tasks[is_early]
  if spec.draw is None:
    return choose(ids, tasks, spec.max_examples)
  return np.sort(ids if spec.max_examples < 0 else ids[: spec.max_examples])


def select(
    spec: config.Eval, store: store_lib.Store, excluded_cut: str = ""
) -> tuple[np.ndarray, int]:
  """Returns the ids of an evaluation's examples, ascending, and the set's size.

  Args:
    spec: the evaluation's section.
    store: the store of the set.
    excluded_cut: the kind of cut examples to leave out, see `Store.cut`; "" for
      none.

  Raises:
    InputError: there is no such set, or none of its examples is left.
  """
  known = store.split_ids(spec.split)
  candidates = known[~store.cut(known, excluded_cut)] if excluded_cut else known
  if spec.unanswered == "exclude":
    candidates = candidates[store.loss_lengths[candidates] > 0]
  if not len(candidates):
    raise errors.InputError(
        f"the held-out set {spec.split!r}: all {len(known)} examples lost all"
        " or part of their last answer to config.data.max_length. Raise it."
    )
  ids = draw(candidates, store.task_index[candidates], spec)
  return ids, len(known)


def describe(
    name: str, ids: np.ndarray, split_size: int, tasks: np.ndarray
) -> str:
  """Describes a choice: "heldout: 200 of 595 examples, 119 tasks"."""
  count = len(np.unique(tasks))
  line = f"{name}: {len(ids)} of {split_size} examples, {count} tasks"
  if count <= MOST_TASKS:
    return line
  return (
      f"{line}; of more than {MOST_TASKS} tasks metrics are not written one by"
      f" one, evals/{name}/loss.npy has every example"
  )


def by_task(
    values: np.ndarray, tasks: np.ndarray, names: Sequence[str]
) -> dict[str, float]:
  """Returns the mean of the values [E] of each task, by its name."""
  present, indices, counts = np.unique(
      tasks, return_inverse=True, return_counts=True
  )
  means = np.bincount(indices, weights=values) / counts
  return {
      names[int(task)]: mean
      for task, mean in zip(present, means.tolist(), strict=True)
  }


def metrics(tasks: Mapping[str, float], name: str, kind: str) -> dict:
  """Returns the metrics of each task; {} for more than `MOST_TASKS`.

  Args:
    tasks: a value for each.
    name: of the evaluation.
    kind: what the value is, such as "loss".
  """
  if len(tasks) > MOST_TASKS:
    return {}
  return {f"{name}/{task}/{kind}": value for task, value in tasks.items()}
