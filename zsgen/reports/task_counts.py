"""The examples and tokens of each task, as a table that fits a terminal."""

import numpy as np

from zsgen.data import store as store_lib
from zsgen.data import suite
from zsgen.reports import grids

# The most tasks that are all shown. If there are more, this many of the largest
# and of the smallest are.
_FULL = 40
_ENDS = 10
_HEADER = ("task", "examples", "tokens", "loss tokens", "cut", "dropped")
# Columns that are shown only if some value is not 0.
_RARE = ("cut", "dropped")


def grid(store: store_lib.Store) -> grids.Grid:
  """Counts each task's examples and tokens, and what was cut or dropped.

  Args:
    store: has any number of tasks. If there are more than 40, the 10 with the
      most and the 10 with the fewest examples are shown, and the file that has
      all of them.

  Returns:
    The tasks in the store's order if all are shown, otherwise by size. A task
    that lost all of its examples is not in it; the split's count of dropped
    ones has them.
  """
  rows = _rows(store)
  title, note = f"Tasks of the suite {store.suite}", ""
  if len(rows) > _FULL:
    title = f"The {_ENDS} largest and {_ENDS} smallest of {len(rows):,} tasks"
    note = f"All of them: {store.path / 'tasks.parquet'}"
    rows = sorted(rows, key=lambda row: -row[1])  # Ties in the store's order.
    rows = [*rows[:_ENDS], *rows[-_ENDS:]]
  columns = [
      i
      for i, name in enumerate(_HEADER)
      if name not in _RARE or any(row[i] for row in rows)
  ]
  cells = [
      [row[i] if i == 0 else grids.number(row[i], 0) for i in columns]
      for row in rows
  ]
  return grids.Grid(title, [_HEADER[i] for i in columns], cells, note=note)


def _rows(store: store_lib.Store) -> list[tuple]:
  """Name and counts of each task of examples; choices are none."""
  tasks = len(store.tasks)

  def summed(lengths: np.ndarray) -> list[int]:
    """Returns the sum of the lengths of each task's examples."""
    # Floats of 64 bits hold every whole number below 2^53.
    sums = np.bincount(store.task_index, lengths, tasks)
    return sums.astype(np.int64).tolist()

  counts = np.bincount(store.task_index, minlength=tasks).tolist()
  # Stores of older versions have no count of cuts by task.
  cut = store.manifest.get("cut_by_task", {})
  dropped = store.manifest["dropped_by_task"]
  splits = (suite.TRAIN, *store.manifest["heldout"])
  known = {task for split in splits for task in store.split_tasks(split)}
  return [
      (name, *numbers, cut.get(name, 0), dropped.get(name, 0))
      for task, (name, *numbers) in enumerate(
          zip(
              store.tasks,
              counts,
              summed(store.lengths),
              summed(store.loss_lengths),
              strict=True,
          )
      )
      if task in known
  ]
