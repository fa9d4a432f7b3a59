"""Facts on lists: positions, order and counts."""

from zsgen.data.sources.synth import letters, lists, task, words
from zsgen.data.sources.worlds.fact import Fact, people


def _row(dice: task.Dice) -> dict[str, object]:
  """Draws a row of numbers in several orders, with spaces or commas."""
  items = lists.numbers(dice)
  show = dice.choose((lists.row, lists.row, lists.join))
  return dict(
      name=dice.choose(words.NAMES),
      row=show(items),
      up=show(sorted(items)),
      down=show(sorted(items)[::-1]),
      back=show(items[::-1]),
      turned=show(items[1:] + items[:1]),
      first=items[0],
      last=items[-1],
  )


def _nouns(dice: task.Dice) -> dict[str, object]:
  """Draws a list of nouns and its positions."""
  items = dice.sample(words.NOUNS + words.FOODS, dice.between(3, 4))
  return people(dice) | dict(
      all=lists.join(items),
      first=items[0],
      second=items[1],
      last=items[-1],
      longest=max(items, key=len),
      shortest=min(items, key=len),
      count=len(items),
  )


def _counted(dice: task.Dice) -> dict[str, object]:
  """Draws nouns with counts, one of them repeated."""
  items = letters.nouns(dice)
  noun, other_noun = dice.sample(words.NOUNS, 2)
  times = dice.between(2, 4)
  return dict(
      name=dice.choose(words.NAMES),
      all=lists.join(items),
      row=lists.row(items),
      count=len(items),
      noun=noun,
      times=times,
      same=lists.row(dice.sample([noun] * times + [other_noun], times + 1)),
  )


LISTS = (
    Fact(
        _row,
        (
            "{row} sorted is {up}.",
            "{row} -> small to large: {up}",
            "{row} -> large to small: {down}",
            "{row} -> backward: {back}",
            "{row} -> first one moved last: {turned}",
            "{name} has {row}. Sorted they are {up}.",
            "{name} has {row}. From the top down they are {down}.",
            "{row} read from right to left is {back}.",
            "{row}: {first} walks to the end, which gives {turned}.",
            "Rising: {up}. Falling: {down}.",
            "{row} starts with {first} and ends with {last}.",
            "Forward {row}, backward {back}.",
        ),
    ),
    Fact(
        _nouns,
        (
            "{all}: first {first}, last {last}.",
            "{all}: the first is {first}, the second is {second}.",
            "{all} -> {first}",
            "{all} -> last: {last}",
            "{name} bought {all}, and the last of these was {last}.",
            "{name} saw {all}, in this order: {first} came first.",
            "{all}: longest {longest}, shortest {shortest}.",
            "In {all} no word is longer than {longest}.",
            '"{all}," reads {name}. "The second was {second}," says {friend}.',
            "{name} names {count} things: {all}.",
        ),
    ),
    Fact(
        _counted,
        (
            "{all}: that makes {count}.",
            "{all} ({count})",
            "{row} - {count} words.",
            "{name} lists {all}. There are {count}.",
            "{name} says {noun} {times} times: {same}.",
            "{same}: {times} of them say {noun}.",
        ),
    ),
)
