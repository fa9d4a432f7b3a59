"""Generated tasks, and the dice that draw their instances."""

from collections.abc import Callable, Iterator, Sequence
import dataclasses
from typing import TypeVar
import zlib

import numpy as np

T = TypeVar("T")


class Dice:
  """A seeded stream of draws, different for every name.

  Uniform numbers are drawn in blocks: a scalar draw of numpy costs ten times
  as much, and the pre-training texts need tens of draws each.
  """

  def __init__(self, seed: int, name: str):
    sequence = np.random.SeedSequence([seed, zlib.crc32(name.encode())])
    self._uniform = _uniform(np.random.Generator(np.random.PCG64(sequence)))

  def below(self, bound: int) -> int:
    """Draws one of 0, …, bound - 1."""
    return int(next(self._uniform) * bound)

  def between(self, low: int, high: int) -> int:
    """Draws one of low, …, high."""
    return low + self.below(high - low + 1)

  def choose(self, items: Sequence[T]) -> T:
    """Draws one of the items."""
    return items[self.below(len(items))]

  def sample(self, items: Sequence[T], count: int) -> list[T]:
    """Draws `count` items at different positions, in random sequence."""
    positions: list[int] = []
    while len(positions) < count:
      position = self.below(len(items))
      if position not in positions:
        positions.append(position)
    return [items[position] for position in positions]


def _uniform(rng: np.random.Generator) -> Iterator[float]:
  """Yields uniform numbers in [0, 1) without end."""
  while True:
    yield from rng.random(1024).tolist()


# Draws one instance: its input and its answer.
Draw = Callable[[Dice], tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class Task:
  """An instruction, and the function that draws its instances."""

  # Unique in the suite: "<family>_<suffix>".
  name: str
  family: str
  # The instruction, in words.
  definition: str
  draw: Draw


def family(name: str, *siblings: tuple[str, str, Draw]) -> tuple[Task, ...]:
  """Returns the tasks of a family, given as (suffix, definition, draw)."""
  return tuple(
      Task(f"{name}_{suffix}", name, definition, draw)
      for suffix, definition, draw in siblings
  )


def skill(
    value: Callable[[Dice], T],
    show: Callable[[T], str],
    answer: Callable[[T], str],
) -> Draw:
  """Returns a draw that shows a value as input and computes its answer."""

  def draw(dice: Dice) -> tuple[str, str]:
    """Returns an input and its answer."""
    item = value(dice)
    return show(item), answer(item)

  return draw
