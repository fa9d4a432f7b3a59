"""Round robin: one example of each task, again and again."""

from zsgen.orders import pool as pool_lib
from zsgen.orders.arrangements import arranged, multiset


def arrange(
    pool: pool_lib.Pool, *, budget: int, per_task: int, as_released: bool
) -> arranged.Arranged:
  """The shared examples, pass by pass over the tasks (spec 2.2).

  Args:
    pool: the rows, [N].
    budget: rows in the order; -1: all.
    per_task: most rows of one task; -1: no limit.
    as_released: the released code does the same; so that one config can say
      it for all three orders of the paper's first comparison.

  Returns:
    The order; its rounds are the passes.
  """
  del as_released
  return arranged.of(*multiset.passes(pool.tasks, budget, per_task))
