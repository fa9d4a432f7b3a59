"""Families on lists: filter numbers, pick an item, put a row in order."""

from collections.abc import Callable, Iterable, Sequence

from zsgen.data.sources.synth import task, words


def join(items: Iterable[object]) -> str:
  """Joins items with commas."""
  return ", ".join(map(str, items))


def row(items: Sequence[object]) -> str:
  """Joins items with spaces."""
  return " ".join(map(str, items))


def numbers(dice: task.Dice) -> list[int]:
  """Draws 3 to 5 different numbers from 0 to 99."""
  return dice.sample(range(100), dice.between(3, 5))


def _mixed(dice: task.Dice) -> Sequence[str]:
  """Draws 3 or 4 nouns of different lengths."""
  while True:
    items = dice.sample(words.NOUNS + words.FOODS, dice.between(3, 4))
    if len(set(map(len, items))) == len(items):
      return items


def _filter(keep: Callable[[int], bool]) -> task.Draw:
  """Keeps some but never all of the numbers."""

  def draw_mixed(dice: task.Dice) -> list[int]:
    """Draws lists until one has both numbers to keep and numbers to drop."""
    while True:
      items = numbers(dice)
      if 0 < sum(map(keep, items)) < len(items):
        return items

  return task.skill(draw_mixed, join, lambda items: join(filter(keep, items)))


FILTER = task.family(
    "filter",
    (
        "even",
        "From the list of numbers, keep only the ones that are even.",
        _filter(lambda n: n % 2 == 0),
    ),
    (
        "odd",
        "From the list of numbers, keep only the ones that are odd.",
        _filter(lambda n: n % 2 == 1),
    ),
    (
        "large",
        "From the list of numbers, keep only the ones that are above 50.",
        _filter(lambda n: n > 50),
    ),
    (
        "small",
        "From the list of numbers, keep only the ones that are below 50.",
        _filter(lambda n: n < 50),
    ),
    (
        "tens",
        "From the list of numbers, keep only the ones that end in 0 or 5.",
        _filter(lambda n: n % 5 == 0),
    ),
)

PICK = task.family(
    "pick",
    (
        "first",
        "Look at all the items here and give back the first one.",
        task.skill(_mixed, join, lambda items: items[0]),
    ),
    (
        "last",
        "Look at all the items here and give back the last one.",
        task.skill(_mixed, join, lambda items: items[-1]),
    ),
    (
        "second",
        "Look at all the items here and give back the second one.",
        task.skill(_mixed, join, lambda items: items[1]),
    ),
    (
        "longest",
        "Look at all the items here and give back the longest word.",
        task.skill(_mixed, join, lambda items: max(items, key=len)),
    ),
    (
        "largest",
        "Look at all the items here and give back the largest number.",
        task.skill(numbers, join, lambda items: str(max(items))),
    ),
)

ORDER = task.family(
    "order",
    (
        "up",
        "Put this row in order, from its smallest number up to its largest.",
        task.skill(numbers, row, lambda items: row(sorted(items))),
    ),
    (
        "down",
        "Put this row in order, from its largest number down to its smallest.",
        task.skill(numbers, row, lambda items: row(sorted(items)[::-1])),
    ),
    (
        "reverse",
        "Put this row in backward order, so that its last number comes first.",
        task.skill(numbers, row, lambda items: row(items[::-1])),
    ),
    (
        "rotate",
        "Put this row in a new order, moving its first number to the end.",
        task.skill(numbers, row, lambda items: row(items[1:] + items[:1])),
    ),
)
