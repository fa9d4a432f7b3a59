"""Matched: random examples with the lengths of another order's."""

import dataclasses

import numpy as np

from zsgen.core import errors, occurrences, registry
from zsgen.core.schema import option
from zsgen.orders import arrangements
from zsgen.orders import pool as pool_lib
from zsgen.orders.arrangements import arranged, compose


@dataclasses.dataclass(frozen=True)
class Matched(compose.Part):
  """The options of `matched`."""

  # Number of groups of equal size into which the pool is divided by length; an
  # example is replaced by one of its group.
  groups: int = option(100, low=1, high=10**6, why="the pool is in memory")


@registry.arrangement("matched", options=Matched)
def matched(
    pool: pool_lib.Pool, options: Matched, seed: int
) -> arranged.Arranged:
  """Replaces each example of the part by a random one of about its length.

  Near examples are often short, or long, as the held-out ones are. Against
  this control, what remains of an order's effect is not one of lengths: it has
  the same lengths at the same positions, but does not look at the held-out
  set.

  Args:
    pool: the rows, [N]; their lengths in tokens, prompt and answer.
    options: the part, and the number of groups.
    seed: of the part, and of the draw. A row may be its own replacement.

  Returns:
    As many examples as the part has, each once.

  Raises:
    InputError: the part has several epochs.
  """
  (part,) = options.parts
  sequence = arrangements.arrange(part, pool, seed)
  if sequence.epochs.any():
    raise errors.InputError(
        "config.order.arrangement='matched': its part has several epochs."
        " Repeat outermost."
    )
  lengths = pool.lengths()
  groups = _groups(lengths, options.groups)
  shuffled = arranged.permutation("matched", seed, len(pool))
  by_group = shuffled[np.argsort(groups[shuffled], kind="stable")]
  begins = np.searchsorted(groups[by_group], groups[sequence.rows])
  rows = by_group[begins + occurrences.count_earlier(groups[sequence.rows])]
  difference = float(np.abs(lengths[rows] - lengths[sequence.rows]).mean())
  return arranged.from_rows(rows).with_notes(
      groups=int(groups.max()) + 1,
      mean_length_difference=difference,
      same=int(np.isin(rows, sequence.rows).sum()),
  )


def _groups(lengths: np.ndarray, count: int) -> np.ndarray:
  """Returns the group of each row; rows of one length share it, int64 [N]."""
  by_length = np.sort(lengths)
  starts = np.arange(count) * len(lengths) // count
  return np.searchsorted(np.unique(by_length[starts]), lengths, "right") - 1
