"""The examples that all arrangements but TMT share."""

import dataclasses

import numpy as np

from zsgen.core import errors, occurrences
from zsgen.core.schema import option
from zsgen.orders.arrangements import arranged


@dataclasses.dataclass(frozen=True)
class Selection(arranged.Budget):
  """The options that select the shared examples; see `passes`."""

  # Maximum number of examples of each task; -1: no limit.
  per_task: int = option(-1, low=-1)


@dataclasses.dataclass(frozen=True)
class Options(Selection):
  """The options of arrangements of the shared examples."""

  # Whether to draw as the released code does (with Python's and NumPy's legacy
  # generators, and tasks in the suite's order) instead of with zsgen's
  # permutations.
  as_released: bool = option(False)


def passes(
    tasks: np.ndarray, budget: int = -1, per_task: int = -1
) -> tuple[np.ndarray, np.ndarray]:
  """Returns the first `budget` rows, one of each task in a pass.

  Each task gives its first rows (the store has drawn them by seed): budget /
  tasks of them, one more of the first tasks where that leaves a remainder. A
  task with fewer gives all it has, and later passes make up for it.

  Args:
    tasks: task of each row of the pool, int [N].
    budget: rows to take; -1: all that there are.
    per_task: most rows of one task, which is most passes; -1: no limit.

  Returns:
    Rows in passes over the tasks in key order (int64 [n]; 2406.11721, spec
    2.2), and the pass of each, from 1 (int64 [n]).

  Raises:
    InputError: `per_task` leaves fewer rows than the budget.
  """
  number = occurrences.count_earlier(tasks) + 1
  rows = np.lexsort((tasks, number))
  if per_task >= 0:
    rows = rows[number[rows] <= per_task]
  if budget > len(rows):
    raise errors.InputError(
        f"config.order.budget is {budget}, but config.order.per_task,"
        f" {per_task}, leaves {len(rows)} training examples. Lower the budget"
        " or raise per_task."
    )
  rows = rows[: None if budget < 0 else budget]
  return rows, number[rows]
