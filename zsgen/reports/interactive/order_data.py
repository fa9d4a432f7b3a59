"""Which tasks the order of each run consumes when."""

from typing import Any

import numpy as np

from zsgen.reports.interactive import encoding
from zsgen.reports.interactive import subject as subject_lib

# Stretches of steps, and rows of tasks, of a figure.
_BINS, _TASKS = 60, 20


def build(subject: subject_lib.Subject, limit: int) -> list[dict[str, Any]]:
  """Returns the tasks along the orders of the first runs.

  Args:
    subject: what the page shows.
    limit: runs, at the most; an order that several have counts once.
  """
  first = {path: i for i, path in reversed(subject.orders.items())}
  members = sorted(first.values())[:limit]
  return [{"member": i, **_composition(subject, i)} for i in members]


def count(subject: subject_lib.Subject) -> int:
  """Returns the number of different orders."""
  return len(set(subject.orders.values()))


def _composition(subject: subject_lib.Subject, member: int) -> dict[str, Any]:
  """Returns the counts of the tasks in each stretch of a run's steps.

  Returns:
    `names` of the tasks, those with most examples first, and one for the rest;
    `begins`, the first step of each stretch; `end`, the step after the last;
    `counts`, [tasks, stretches].
  """
  run, order = subject.trained[member], subject.load_order(member)
  store = subject.open_store(run.store)
  steps = -(-len(order) // run.batch_size)
  bins = min(_BINS, steps)
  begins = np.arange(bins) * steps // bins
  stretch = (
      np.searchsorted(
          begins, np.arange(len(order)) // run.batch_size, side="right"
      )
      - 1
  )
  tasks = store.task_index[order.ids]
  totals = np.bincount(tasks, minlength=len(store.tasks))
  ranked = np.argsort(-totals, kind="stable")
  ranked = ranked[totals[ranked] > 0]
  listed_tasks = ranked[:_TASKS] if len(ranked) > _TASKS + 1 else ranked
  rows = np.full(len(store.tasks), len(listed_tasks))
  rows[listed_tasks] = np.arange(len(listed_tasks))
  counts = np.zeros((len(listed_tasks) + 1, bins), np.int64)
  np.add.at(counts, (rows[tasks], stretch), 1)
  names = [encoding.words(store.tasks[task]) for task in listed_tasks]
  if len(ranked) > len(listed_tasks):
    names.append(f"{len(ranked) - len(listed_tasks):,} other tasks")
  return {
      "names": names,
      "begins": (run.first_of_order + begins).tolist(),
      "end": run.first_of_order + steps,
      "counts": counts[: len(names)].tolist(),
  }
