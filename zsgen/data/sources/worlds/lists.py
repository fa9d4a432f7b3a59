"""Facts on lists: their places, their order, how many they hold."""

from zsgen.data.sources.synth import letters, lists, task, words
from zsgen.data.sources.worlds.fact import Fact, people


def _row(dice: task.Dice) -> dict[str, object]:
  """A row of numbers in several orders, with spaces or commas."""
  drawn = lists.numbers(dice)
  show = dice.one((lists.row, lists.row, lists.join))
  return dict(
      name=dice.one(words.NAMES),
      row=show(drawn),
      up=show(sorted(drawn)),
      down=show(sorted(drawn)[::-1]),
      back=show(drawn[::-1]),
      turned=show(drawn[1:] + drawn[:1]),
      first=drawn[0],
      last=drawn[-1],
  )


def _nouns(dice: task.Dice) -> dict[str, object]:
  """A list of nouns and its places."""
  drawn = dice.some(words.NOUNS + words.FOODS, dice.between(3, 4))
  return people(dice) | dict(
      all=lists.join(drawn),
      first=drawn[0],
      second=drawn[1],
      last=drawn[-1],
      longest=max(drawn, key=len),
      shortest=min(drawn, key=len),
      count=len(drawn),
  )


def _counted(dice: task.Dice) -> dict[str, object]:
  """Nouns that are counted, one of them several times."""
  drawn = letters.nouns(dice)
  noun, other = dice.some(words.NOUNS, 2)
  times = dice.between(2, 4)
  return dict(
      name=dice.one(words.NAMES),
      all=lists.join(drawn),
      row=lists.row(drawn),
      count=len(drawn),
      noun=noun,
      times=times,
      same=lists.row(dice.some([noun] * times + [other], times + 1)),
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
