"""TMT: held-out examples take turns to pick training examples.

Test-centric multi-turn arrangement, 2406.11721, Algorithm 1 (spec 2.6); its
second version calls it TMA.
"""

from collections.abc import Iterator
import dataclasses

import numpy as np

from zsgen.core import errors, registry
from zsgen.core.schema import option
from zsgen.orders import pool as pool_lib
from zsgen.orders import turns
from zsgen.orders.arrangements import arranged


@dataclasses.dataclass(frozen=True)
class Options(arranged.Budget):
  """The options of `tmt`."""

  # Which training example a held-out example picks in each round.
  pick: str = option("nearest", choices=("nearest", "farthest"))
  # The sequence of the picked examples. rounds: round by round; reversed: all
  # examples backwards, so that ids descend within a round, as in the released
  # code; shuffled: at random.
  sequence: str = option("rounds", choices=("rounds", "reversed", "shuffled"))
  # The sequence within a round. id: ascending ids, as in the released code;
  # shuffled: at random.
  in_round: str = option("id", choices=("id", "shuffled"))
  # The rounds to use, [first, end), counted from 0; (): all.
  rounds: tuple[int, ...] = option((), low=0)
  # How nearness is computed. grid: the dot product of vectors on the grid;
  # exact: their cosine in float64, as in the released code except for its
  # float32 sums.
  cosine: str = option("grid", choices=("grid", "exact"), newer=True)

  def check(self, location: str) -> None:
    """Raises InputError unless rounds are (first, beyond), or () for all."""
    super().check(location)
    rounds = self.rounds
    if rounds and (len(rounds) != 2 or rounds[0] >= rounds[1]):
      raise errors.InputError(
          f"{location}.rounds is {rounds}; give (first, beyond), counted from"
          " 0, such as (0, 5) for the first five."
      )

  @property
  def reads_vectors(self) -> bool:
    """Whether the sequence depends on vectors of examples."""
    return True


@registry.arrangement("tmt", options=Options)
def tmt(pool: pool_lib.Pool, options: Options, seed: int) -> arranged.Arranged:
  """Takes rounds until the budget is used up, then puts them in sequence.

  In a round every held-out example picks its nearest (farthest) row that no
  earlier round took; several may pick the same. The last round is cut to the
  budget and keeps its nearest (farthest) rows; ties go to the lowest row.

  Args:
    pool: the rows with embeddings, [N].
    options: a budget of at most N.
    seed: of the shuffles.

  Returns:
    The order; a row's distance is that to its nearest (farthest) picker.

  Raises:
    InputError: there are no embeddings, or fewer rounds than asked for.
  """
  budget, pick = options.budget, options.pick
  first, stop = options.rounds or (0, None)
  needed, exact = count_needed(pool, options), options.cosine == "exact"
  walk = turns.rounds(
      *pool.embedded(), (pick,), needed, exact, pool.make_lists
  )[0]
  sequence = take(_between(walk, first, stop), pick, budget, first)
  if options.in_round == "shuffled":
    permuted = arranged.permutation("in_round", seed, len(sequence))
    notes = sequence.notes
    sequence = sequence.take(np.lexsort((permuted, sequence.rounds)))
    sequence = sequence.with_notes(**notes)
  return sequence.take(_positions(options.sequence, seed, len(sequence)))


def count_needed(pool: pool_lib.Pool, options: Options) -> int:
  """Returns the number of rows that the rounds of an order may use."""
  _, stop = options.rounds or (0, None)
  needed = len(pool) if options.budget < 0 else options.budget
  needed = max(needed, (stop or 0) * len(pool.embedded()[1]))
  return min(needed, len(pool))


def take(
    walk: Iterator[turns.Round],
    pick: str,
    budget: int,
    first: int = 0,
    keep_last_round: bool = False,
) -> arranged.Arranged:
  """Joins rounds until there are `budget` rows.

  Args:
    walk: the rounds.
    pick: what they picked.
    budget: rows to take; -1: all.
    first: rounds that were left out before.
    keep_last_round: keep the last round whole, as the released code does.
  """
  rounds, left, cut = [], budget, 0
  for number, (rows, keys) in enumerate(walk, first + 1):
    cut = len(rows) - left if 0 <= left < len(rows) else 0
    if cut and not keep_last_round:
      keep = np.sort(np.argsort(keys, kind="stable")[:left])
      rows, keys = rows[keep], keys[keep]  # noqa: PLW2901
    rounds.append((rows, np.full(len(rows), number, np.int32), keys))
    left -= len(rows) if budget >= 0 else 0
    if budget >= 0 and left <= 0:
      break
  if budget >= 0 and left > 0:
    raise errors.InputError(
        f"config.order.budget is {budget}, but the rounds have"
        f" {budget - left} training examples. Lower the budget, or take more"
        " rounds."
    )
  rows, numbers, keys = map(np.concatenate, zip(*rounds, strict=True))
  distances = 1 + keys if pick == "nearest" else 1 - keys
  note = "beyond_budget" if keep_last_round else "cut_from_last_round"
  return arranged.from_rows(rows, numbers, distances).with_notes(
      rounds=len(rounds), **{note: cut}
  )


def _between(
    walk: Iterator[turns.Round], first: int, stop: int | None
) -> Iterator[turns.Round]:
  """Rounds [first, beyond) of a walk."""
  number = 0
  for number, round_ in enumerate(walk, 1):
    if number > first:
      yield round_
    if number == stop:
      return
  if stop is not None:
    raise errors.InputError(
        f"config.order.rounds is {(first, stop)}, but there are {number}"
        " rounds: then the pool is used up. Ask for fewer."
    )


def _positions(sequence: str, seed: int, size: int) -> np.ndarray:
  """Where each element of the order stands in the rounds, int64 [size]."""
  if sequence == "shuffled":
    return arranged.permutation("tmt", seed, size)
  positions = np.arange(size)
  return positions[::-1] if sequence == "reversed" else positions
