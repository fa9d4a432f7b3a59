"""Released: the five settings of the paper's own code, as it makes them."""

import dataclasses
import random

import numpy as np

from zsgen.core import registry
from zsgen.core.schema import option
from zsgen.orders import pool as pool_lib
from zsgen.orders import turns
from zsgen.orders.arrangements import arranged, tmt


@dataclasses.dataclass(frozen=True)
class Options(arranged.Budget):
  """The options of `released`."""

  # One of the released code's settings.
  setting: str = option("NFT", choices=("NFT", "FFT", "RT", "MIN", "MAX"))
  # How nearness is computed. grid: the dot product of vectors on the grid;
  # exact: their cosine in float64, as in the released code except for its
  # float32 sums.
  cosine: str = option("grid", choices=("grid", "exact"), newer=True)

  @property
  def reads_vectors(self) -> bool:
    """Whether the sequence depends on vectors of examples."""
    return True

  @property
  def may_leave_out(self) -> bool:
    """Whether examples may be missing without a budget: halves overlap."""
    return self.setting not in ("MIN", "MAX")


@registry.arrangement("released", options=Options)
def released(
    pool: pool_lib.Pool, options: Options, seed: int
) -> arranged.Arranged:
  """Arranges as NFT, FFT, RT, MIN or MAX (2406.11721, spec 2.7, E6 and E8).

  MIN is rounds of nearest picks and MAX rounds of farthest picks, until there
  are `budget` rows. NFT, FFT and RT are one set: rounds of nearest picks up to
  half of the budget and rounds of farthest picks up to the other half. NFT has
  the near half and then the far half backwards, FFT the far half and then the
  near half backwards; a row in both keeps its first place. RT is NFT shuffled.

  As in the released code the last round is kept whole, so that there are a few
  more rows than the budget (`beyond_budget` in the manifest), or a few less
  where the halves overlap (`in_both`). Rounds of both halves count from 1.

  Args:
    pool: the rows with embeddings, [N].
    options: the setting, and the rows to reach.
    seed: of RT's shuffle, Python's `random.shuffle` (the paper: 0).
  """
  setting, exact = options.setting, options.cosine == "exact"
  budget = len(pool) if options.budget < 0 else options.budget
  if setting in ("MIN", "MAX"):
    pick = "nearest" if setting == "MIN" else "farthest"
    walk = turns.rounds(*pool.embedded(), (pick,), budget, exact)[0]
    return tmt.take(walk, pick, budget, keep_last_round=True)
  picks = ("nearest", "farthest")
  sizes = (budget - budget // 2, budget // 2)
  walks = turns.rounds(*pool.embedded(), picks, sizes[0], exact)
  nearest, farthest = (
      tmt.take(walk, pick, size, keep_last_round=True)
      for walk, pick, size in zip(walks, picks, sizes, strict=True)
  )
  if setting == "FFT":
    return _join(farthest, nearest)
  joined = _join(nearest, farthest)
  if setting == "NFT":
    return joined
  positions = list(range(len(joined)))
  random.Random(seed).shuffle(positions)
  return joined.take(np.array(positions, np.int64))


def _join(
    first: arranged.Arranged, second: arranged.Arranged
) -> arranged.Arranged:
  """One half and the other backwards; a row in both keeps its first place."""
  joined = arranged.join([first, second.take(slice(None, None, -1))])
  surplus = [half.notes["beyond_budget"] for half in (first, second)]
  return joined.once().with_notes(
      rounds=[half.notes["rounds"] for half in (first, second)],
      beyond_budget=sum(surplus),
      in_both=len(joined) - len(joined.once()),
  )
