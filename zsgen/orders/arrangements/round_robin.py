"""Round robin: one example of each task, again and again."""

from zsgen.core import registry
from zsgen.orders import pool as pool_lib
from zsgen.orders.arrangements import arranged, multiset


@registry.arrangement("round_robin", options=multiset.Options)
def round_robin(
    pool: pool_lib.Pool, options: multiset.Options, seed: int
) -> arranged.Arranged:
  """Arranges the shared examples in passes over the tasks (spec 2.2).

  Args:
    pool: the rows, [N].
    options: `as_released` changes nothing, because the released code does the
      same; it is an option so that one config can set it for all three orders
      of the paper's first comparison.
    seed: unused; nothing is drawn.

  Returns:
    The order; its rounds are the passes.
  """
  del seed
  return arranged.from_rows(
      *multiset.passes(pool.tasks, options.budget, options.per_task)
  )
