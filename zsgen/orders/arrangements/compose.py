"""Orders put together from orders: `config.order.parts`.

A part is an order of its own, with its own arrangement, target and text. It is
arranged on a pool and gives a sequence of that pool's rows.
"""

import dataclasses

import numpy as np

from zsgen.core import config, errors, registry
from zsgen.core.schema import option
from zsgen.orders import arrangements
from zsgen.orders import pool as pool_lib
from zsgen.orders.arrangements import arranged

# Positions of an order, 24 bytes each: 24 GiB.
_LONGEST = 2**30


@dataclasses.dataclass(frozen=True)
class Parts:
  """The option of arrangements that are put together from other orders."""

  # The orders to combine, as dictionaries of options of `config.order`.
  parts: tuple[config.Order, ...] = option(())

  def check(self, location: str) -> None:
    """Raises InputError if there is no part."""
    if not self.parts:
      raise _needs("at least one part", location)


@dataclasses.dataclass(frozen=True)
class Part(Parts):
  """The option of arrangements of a single other order."""

  def check(self, location: str) -> None:
    """Raises InputError unless there is one part."""
    if len(self.parts) != 1:
      raise _needs(f"one part, not {len(self.parts)}", location)


@dataclasses.dataclass(frozen=True)
class Joined(Parts, arranged.Budget):
  """The options of `concatenate`."""

  def check(self, location: str) -> None:
    """Raises InputError if there is no part, or a budget of no example."""
    Parts.check(self, location)
    arranged.Budget.check(self, location)


@dataclasses.dataclass(frozen=True)
class Interleave(Joined):
  """The options of `interleave`."""

  # How many examples of each part are taken in turn; (): one of each.
  turns: tuple[int, ...] = option((), low=1)

  def check(self, location: str) -> None:
    """Raises InputError unless each part has its number of examples."""
    super().check(location)
    if self.turns and len(self.turns) != len(self.parts):
      raise errors.InputError(
          f"{location}.turns has {len(self.turns)} numbers for"
          f" {len(self.parts)} parts. Give one for each part."
      )


@dataclasses.dataclass(frozen=True)
class Take(Part):
  """The options of `take`."""

  # The first position to take, counted from 0.
  start: int = option(0, low=0)
  # The position after the last one to take; -1: the end. If the part has fewer
  # examples, `short` in the manifest is the number of missing ones.
  stop: int = option(-1, low=-1)
  # Takes every (length // spread)-th example, as the released `uniform`
  # selection does; 0: every example.
  spread: int = option(0, low=0)

  def check(self, location: str) -> None:
    """Raises InputError for a range without a position."""
    super().check(location)
    if 0 <= self.stop <= self.start:
      raise errors.InputError(
          f"{location}.stop is {self.stop}, but the range is empty; it must be"
          f" above {location}.start, {self.start}, or -1 for the end."
      )


@dataclasses.dataclass(frozen=True)
class Repeat(Part):
  """The options of `repeat`."""

  # Number of epochs.
  epochs: int = option(
      1, low=1, high=10**5, why="each epoch is arranged by itself"
  )
  # Whether every epoch is drawn anew, epoch e with seed + e * 2**32.
  fresh: bool = option(False)


@registry.arrangement("concatenate", options=Joined)
def concatenate(
    pool: pool_lib.Pool, options: Joined, seed: int
) -> arranged.Arranged:
  """Joins the parts; an example in several keeps its first position.

  Args:
    pool: the rows, [N].
    options: the parts, and the rows in the order.
    seed: of the parts.
  """
  sequences = _sequences(options, pool, seed)
  return _first_places(arranged.join(sequences), sequences, options.budget)


@registry.arrangement("interleave", options=Interleave)
def interleave(
    pool: pool_lib.Pool, options: Interleave, seed: int
) -> arranged.Arranged:
  """Takes turns between parts; those that are longer go on in turns.

  A repeated example is left out, and its part's turn is one shorter.

  Args:
    pool: the rows, [N].
    options: the parts, and the examples of each in a turn.
    seed: of the parts.
  """
  sequences = _sequences(options, pool, seed)
  sizes = options.turns or (1,) * len(sequences)
  turn = [np.arange(len(p)) // n for p, n in zip(sequences, sizes, strict=True)]
  order = np.argsort(np.concatenate(turn), kind="stable")
  return _first_places(
      arranged.join(sequences).take(order), sequences, options.budget
  )


@registry.arrangement("reverse", options=Part)
def reverse(pool: pool_lib.Pool, options: Part, seed: int) -> arranged.Arranged:
  """Reverses the part, element by element."""
  return _only(options, pool, seed).take(slice(None, None, -1))


@registry.arrangement("take", options=Take)
def take(pool: pool_lib.Pool, options: Take, seed: int) -> arranged.Arranged:
  """Takes some positions of the part.

  Args:
    pool: the rows, [N].
    options: the part, and which of its positions.
    seed: of the part.
  """
  stop, spread = options.stop, options.spread
  sequence = _only(options, pool, seed)
  taken_rows = sequence.take(slice(options.start, None if stop < 0 else stop))
  if spread:
    taken_rows = taken_rows.take(
        slice(None, None, max(len(taken_rows) // spread, 1))
    )
  return taken_rows.with_notes(short=max(stop - len(sequence), 0))


@registry.arrangement("repeat", options=Repeat)
def repeat(
    pool: pool_lib.Pool, options: Repeat, seed: int
) -> arranged.Arranged:
  """Repeats the part, once an epoch.

  Args:
    pool: the rows, [N].
    options: the part, of a single epoch, and how often it comes.
    seed: of the part.
  """
  epochs = options.epochs
  first = _only(options, pool, seed)
  _single("repeat", first)
  if len(first) * epochs > _LONGEST:
    raise errors.InputError(
        f"config.order.epochs is {epochs:,} of {len(first):,} examples, an"
        f" order of {len(first) * epochs:,}; at most {_LONGEST:,} are held in"
        " memory. Lower it."
    )
  repetitions = (
      _only(options, pool, seed + epoch * 2**32) if options.fresh else first
      for epoch in range(1, epochs)
  )
  sequences = [first, *repetitions]
  joined = arranged.join(sequences)
  return arranged.from_rows(
      joined.rows,
      joined.rounds,
      joined.distances,
      np.repeat(np.arange(epochs), [len(sequence) for sequence in sequences]),
  )


@registry.arrangement("by_task", options=Part)
def by_task(pool: pool_lib.Pool, options: Part, seed: int) -> arranged.Arranged:
  """Arranges each task's rows by the part, in the suite's order of tasks.

  It selects inside tasks: spec E9's `polar` takes, by task, the
  ten nearest and the ten farthest.
  """
  sequences, short = [], 0
  for task in np.unique(pool.tasks):
    rows = np.flatnonzero(pool.tasks == task)
    sequence = _only(options, pool.take(rows), seed)
    sequences.append(sequence.map_rows(rows))
    short += sequence.notes.get("short", 0)
  return arranged.join(sequences).with_notes(tasks=len(sequences), short=short)


@registry.arrangement("within", options=Parts)
def nest(pool: pool_lib.Pool, options: Parts, seed: int) -> arranged.Arranged:
  """Arranges by each part the rows that the part before it took.

  So `random` within another order is that order's set, shuffled.
  """
  rows, notes = np.arange(len(pool)), []
  for number, part in enumerate(options.parts):
    sequence = arrangements.arrange(part, pool.take(rows), seed).map_rows(rows)
    notes.append({"examples": len(sequence), **sequence.notes})
    if number < len(options.parts) - 1:
      _single("within", sequence)
      rows = sequence.rows
  return sequence.with_notes(parts=notes)


def _sequences(
    options: Parts, pool: pool_lib.Pool, seed: int
) -> list[arranged.Arranged]:
  """Returns all parts, arranged."""
  return [arrangements.arrange(part, pool, seed) for part in options.parts]


def _only(options: Part, pool: pool_lib.Pool, seed: int) -> arranged.Arranged:
  """Returns the only part, arranged."""
  (part,) = options.parts
  return arrangements.arrange(part, pool, seed)


def _needs(requirement: str, location: str) -> errors.InputError:
  """Returns the error for an order without the parts that it needs."""
  return errors.InputError(
      f"{location}.arrangement needs {requirement}: set {location}.parts to a"
      " tuple of orders, such as ({'arrangement': 'tmt', 'rounds': (0, 5)},)."
  )


def _single(name: str, part: arranged.Arranged) -> None:
  """Raises InputError if the part has several epochs."""
  if part.epochs.any():
    raise errors.InputError(
        f"config.order.arrangement={name!r}: its part has several epochs."
        " Repeat outermost."
    )


def _first_places(
    joined: arranged.Arranged, sequences: list[arranged.Arranged], budget: int
) -> arranged.Arranged:
  """The joined parts, each example once an epoch, cut to the budget."""
  once = joined.once()
  if budget > len(once):
    raise errors.InputError(
        f"config.order.budget is {budget}, but the parts have {len(once)}"
        " different training examples. Lower it, or -1 for all."
    )
  cut = once.take(slice(None, None if budget < 0 else budget))
  return cut.with_notes(
      parts=[{"examples": len(part), **part.notes} for part in sequences],
      in_several=len(joined) - len(once),
  )
