"""Families on lists: filter numbers, pick an item, put a row in order."""

from collections.abc import Callable, Sequence

from zsgen.data.sources.synth import task, words


def join(items: Sequence[object]) -> str:
  """Items with commas between them."""
  return ", ".join(map(str, items))


def row(items: Sequence[object]) -> str:
  """Items with spaces between them."""
  return " ".join(map(str, items))


def numbers(dice: task.Dice) -> list[int]:
  """3 to 5 different numbers of 0 to 99."""
  return dice.some(range(100), dice.between(3, 5))


def _mixed(dice: task.Dice) -> list[str]:
  """3 or 4 nouns of different lengths."""
  while True:
    drawn = dice.some(words.NOUNS + words.FOODS, dice.between(3, 4))
    if len(set(map(len, drawn))) == len(drawn):
      return drawn


def _filter(keep: Callable[[int], bool]) -> task.Draw:
  """Keeps some but never all of the numbers."""

  def some_kept(dice: task.Dice) -> list[int]:
    while True:
      drawn = numbers(dice)
      if 0 < sum(map(keep, drawn)) < len(drawn):
        return drawn

  return task.skill(some_kept, join, lambda drawn: join(filter(keep, drawn)))


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
        task.skill(_mixed, join, lambda drawn: drawn[0]),
    ),
    (
        "last",
        "Look at all the items here and give back the last one.",
        task.skill(_mixed, join, lambda drawn: drawn[-1]),
    ),
    (
        "second",
        "Look at all the items here and give back the second one.",
        task.skill(_mixed, join, lambda drawn: drawn[1]),
    ),
    (
        "longest",
        "Look at all the items here and give back the longest word.",
        task.skill(_mixed, join, lambda drawn: max(drawn, key=len)),
    ),
    (
        "largest",
        "Look at all the items here and give back the largest number.",
        task.skill(numbers, join, lambda drawn: str(max(drawn))),
    ),
)

ORDER = task.family(
    "order",
    (
        "up",
        "Put this row in order, from its smallest number up to its largest.",
        task.skill(numbers, row, lambda drawn: row(sorted(drawn))),
    ),
    (
        "down",
        "Put this row in order, from its largest number down to its smallest.",
        task.skill(numbers, row, lambda drawn: row(sorted(drawn)[::-1])),
    ),
    (
        "reverse",
        "Put this row in backward order, so that its last number comes first.",
        task.skill(numbers, row, lambda drawn: row(drawn[::-1])),
    ),
    (
        "rotate",
        "Put this row in a new order, moving its first number to the end.",
        task.skill(numbers, row, lambda drawn: row(drawn[1:] + drawn[:1])),
    ),
)
