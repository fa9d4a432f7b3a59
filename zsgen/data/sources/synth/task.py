"""What a generated task is, and the dice that draw its instances."""

from collections.abc import Callable, Iterator, Sequence
import dataclasses
from typing import TypeVar
import zlib

import numpy as np

T = TypeVar("T")


class Dice:
  """A seeded stream of draws; a stream of its own for every name.

  Uniform numbers are drawn in blocks: a scalar draw of numpy costs ten times
  as much, and the pre-training texts need tens of draws each.
  """

  def __init__(self, seed: int, name: str):
    sequence = np.random.SeedSequence([seed, zlib.crc32(name.encode())])
    self._uniform = _uniform(np.random.Generator(np.random.PCG64(sequence)))

  def below(self, bound: int) -> int:
    """One of 0, …, bound - 1."""
    return int(next(self._uniform) * bound)

  def between(self, low: int, high: int) -> int:
    """One of low, …, high."""
    return low + self.below(high - low + 1)

  def one(self, items: Sequence[T]) -> T:
    """One of the items."""
    return items[self.below(len(items))]

  def some(self, items: Sequence[T], count: int) -> list[T]:
    """`count` items of different places, in random sequence."""
    places: list[int] = []
    while len(places) < count:
      place = self.below(len(items))
      if place not in places:
        places.append(place)
    return [items[place] for place in places]


def _uniform(rng: np.random.Generator) -> Iterator[float]:
  """Endless uniform numbers in [0, 1)."""
  while True:
    yield from rng.random(1024).tolist()


# Draws one instance: its input and its answer.
Draw = Callable[[Dice], tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class Task:
  """One instruction and where its instances come from."""

  # Unique in the suite: "<family>_<what sets it apart>".
  name: str
  family: str
  # The instruction, in words.
  definition: str
  draw: Draw


def family(name: str, *siblings: tuple[str, str, Draw]) -> tuple[Task, ...]:
  """The tasks of one family, each given as (own name, definition, draw)."""
  return tuple(
      Task(f"{name}_{own}", name, definition, draw)
      for own, definition, draw in siblings
  )


def skill(
    value: Callable[[Dice], T],
    show: Callable[[T], str],
    answer: Callable[[T], str],
) -> Draw:
  """A draw that shows a drawn value as input and computes its answer."""

  def draw(dice: Dice) -> tuple[str, str]:
    drawn = value(dice)
    return show(drawn), answer(drawn)

  return draw
