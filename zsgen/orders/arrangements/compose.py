"""Orders put together from orders: `config.order.parts`.

A part is an order of its own, with its own arrangement, target and text. It is
called on a pool and gives a sequence of that pool's rows.
"""

from collections.abc import Callable

import numpy as np

from zsgen.core import errors
from zsgen.orders import pool as pool_lib
from zsgen.orders.arrangements import arranged

# Positions of an order, 24 bytes each: 24 GiB.
_LONGEST = 2**30
# A part on a pool, under a seed.
Part = Callable[[pool_lib.Pool, int], arranged.Arranged]


def concatenate(
    pool: pool_lib.Pool, *, parts: tuple[Part, ...], budget: int, seed: int
) -> arranged.Arranged:
  """One part after another; an example in several keeps its first place.

  Args:
    pool: the rows, [N].
    parts: one or more.
    budget: rows in the order; -1: all.
    seed: of the parts.
  """
  given = _sequences("concatenate", parts, pool, seed)
  return _first_places(arranged.join(given), given, budget)


def interleave(
    pool: pool_lib.Pool,
    *,
    parts: tuple[Part, ...],
    turns: tuple[int, ...],
    budget: int,
    seed: int,
) -> arranged.Arranged:
  """Parts take turns; what is left when some end follows in turns too.

  An example that comes again is left out, and its part's turn is one shorter.

  Args:
    pool: the rows, [N].
    parts: one or more.
    turns: examples of each part in a turn; (): one of each.
    budget: rows in the order; -1: all.
    seed: of the parts.
  """
  given = _sequences("interleave", parts, pool, seed)
  sizes = turns or (1,) * len(parts)
  if len(sizes) != len(parts):
    raise errors.InputError(
        f"config.order.turns has {len(sizes)} numbers for {len(parts)} parts."
        " Give one a part."
    )
  turn = [np.arange(len(p)) // n for p, n in zip(given, sizes, strict=True)]
  order = np.argsort(np.concatenate(turn), kind="stable")
  return _first_places(arranged.join(given).take(order), given, budget)


def reverse(
    pool: pool_lib.Pool, *, parts: tuple[Part, ...], seed: int
) -> arranged.Arranged:
  """The part backwards, element by element."""
  return _one("reverse", parts)(pool, seed).take(slice(None, None, -1))


def take(
    pool: pool_lib.Pool,
    *,
    parts: tuple[Part, ...],
    start: int,
    stop: int,
    spread: int,
    seed: int,
) -> arranged.Arranged:
  """Some positions of the part.

  Args:
    pool: the rows, [N].
    parts: one.
    start: the first position.
    stop: the position beyond the last; -1: to the end. Where the part ends
      before, `short` in the manifest says by how much.
    spread: every (length // spread)-th of them, as the released `uniform`
      selection does it; 0: all.
    seed: of the part.
  """
  whole = _one("take", parts)(pool, seed)
  found = whole.take(slice(start, None if stop < 0 else stop))
  if spread:
    found = found.take(slice(None, None, max(len(found) // spread, 1)))
  return found.telling(short=max(stop - len(whole), 0))


def repeat(
    pool: pool_lib.Pool,
    *,
    parts: tuple[Part, ...],
    epochs: int,
    fresh: bool,
    seed: int,
) -> arranged.Arranged:
  """The part again and again, an epoch each.

  Args:
    pool: the rows, [N].
    parts: one, of a single epoch.
    epochs: how often.
    fresh: every epoch draws anew.
    seed: of the part; epoch e draws from seed + e * 2**32 if `fresh`.
  """
  part = _one("repeat", parts)
  first = part(pool, seed)
  _single("repeat", first)
  if len(first) * epochs > _LONGEST:
    raise errors.InputError(
        f"config.order.epochs is {epochs:,} of {len(first):,} examples, an"
        f" order of {len(first) * epochs:,}; at most {_LONGEST:,} are held in"
        " memory. Lower it."
    )
  again = (
      part(pool, seed + epoch * 2**32) if fresh else first
      for epoch in range(1, epochs)
  )
  given = [first, *again]
  joined = arranged.join(given)
  return arranged.of(
      joined.rows,
      joined.rounds,
      joined.distances,
      np.repeat(np.arange(epochs), [len(each) for each in given]),
  )


def by_task(
    pool: pool_lib.Pool, *, parts: tuple[Part, ...], seed: int
) -> arranged.Arranged:
  """The part on the rows of each task alone, in the suite's order of tasks.

  Selections inside tasks are made so: spec E9's `polar` takes, by task, the
  ten nearest and the ten farthest.
  """
  part = _one("by_task", parts)
  found, short = [], 0
  for task in np.unique(pool.tasks):
    rows = np.flatnonzero(pool.tasks == task)
    each = part(pool.take(rows), seed)
    found.append(each.within(rows))
    short += each.notes.get("short", 0)
  return arranged.join(found).telling(tasks=len(found), short=short)


def within(
    pool: pool_lib.Pool, *, parts: tuple[Part, ...], seed: int
) -> arranged.Arranged:
  """The last part arranges what the one before it took, and so on.

  So `random` within another order is that order's set, shuffled.
  """
  if not parts:
    raise _needs("within", "parts")
  rows, notes = np.arange(len(pool)), []
  for place, part in enumerate(parts):
    found = part(pool.take(rows), seed).within(rows)
    notes.append({"examples": len(found), **found.notes})
    if place < len(parts) - 1:
      _single("within", found)
      rows = found.rows
  return found.telling(parts=notes)


def _sequences(
    name: str, parts: tuple[Part, ...], pool: pool_lib.Pool, seed: int
) -> list[arranged.Arranged]:
  if not parts:
    raise _needs(name, "parts")
  return [part(pool, seed) for part in parts]


def _one(name: str, parts: tuple[Part, ...]) -> Part:
  if len(parts) != 1:
    raise _needs(name, f"one part, not {len(parts)}")
  return parts[0]


def _needs(name: str, what: str) -> errors.InputError:
  return errors.InputError(
      f"config.order.arrangement={name!r} needs {what}: set"
      " config.order.parts to a tuple of orders, such as"
      " ({'arrangement': 'tmt', 'rounds': (0, 5)},)."
  )


def _single(name: str, part: arranged.Arranged) -> None:
  """Raises InputError if the part has several epochs."""
  if part.epochs.any():
    raise errors.InputError(
        f"config.order.arrangement={name!r}: its part has several epochs."
        " Repeat outermost."
    )


def _first_places(
    joined: arranged.Arranged, given: list[arranged.Arranged], budget: int
) -> arranged.Arranged:
  """The joined parts, each example once an epoch, cut to the budget."""
  once = joined.once()
  if budget > len(once):
    raise errors.InputError(
        f"config.order.budget is {budget}, but the parts have {len(once)}"
        " different training examples. Lower it, or -1 for all."
    )
  found = once.take(slice(None, None if budget < 0 else budget))
  return found.telling(
      parts=[{"examples": len(part), **part.notes} for part in given],
      in_several=len(joined) - len(once),
  )
