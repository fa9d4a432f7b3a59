"""Families on numbers: sums, series, comparisons."""

from collections.abc import Callable, Sequence

from zsgen.data.sources.synth import lists, task, words


def _pair(dice: task.Dice) -> tuple[int, int]:
  """Draws two numbers from 0 to 20."""
  return dice.between(0, 20), dice.between(0, 20)


def _falling_pair(dice: task.Dice) -> tuple[int, int]:
  """Draws a number from 0 to 30 and one from 0 to 20 that is not larger."""
  first = dice.between(0, 30)
  return first, dice.between(0, min(first, 20))


def _and(numbers: tuple[int, ...]) -> str:
  """Formats numbers as "2, 5 and 4"."""
  return f"{lists.join(numbers[:-1])} and {numbers[-1]}"


def _sum(numbers: tuple[int, ...]) -> str:
  """Formats numbers and their sum as an equation."""
  return f"{' + '.join(map(str, numbers))} = {sum(numbers)}"


SUM = task.family(
    "sum",
    (
        "add",
        "Add both numbers together and write the whole sum as an equation.",
        task.skill(_pair, _and, _sum),
    ),
    (
        "subtract",
        "Subtract the latter number from the former and write an equation.",
        task.skill(
            _falling_pair, _and, lambda n: f"{n[0]} - {n[1]} = {n[0] - n[1]}"
        ),
    ),
    (
        "three",
        "Add all three numbers together and write the sum as an equation.",
        task.skill(
            lambda dice: tuple(dice.below(10) for _ in range(3)), _and, _sum
        ),
    ),
    (
        "swapped",
        "Swap both numbers, add them and write the whole sum as an equation.",
        task.skill(_pair, _and, lambda n: _sum(n[::-1])),
    ),
)


def series(dice: task.Dice) -> list[int]:
  """Draws 5 rising numbers from 0 to 99 at one distance (1 to 10)."""
  step = dice.between(1, 10)
  start = dice.below(100 - 4 * step)
  return list(range(start, start + 5 * step, step))


def _series(
    visible: Callable[[list[int]], Sequence[object]],
    answer: Callable[[list[int]], str],
) -> task.Draw:
  """Shows a part of a series and asks for another."""
  return task.skill(series, lambda terms: lists.join(visible(terms)), answer)


NEXT = task.family(
    "next",
    (
        "up",
        "The series is rising: continue it with what must follow.",
        _series(lambda s: s[:4], lambda s: f"then {s[4]}"),
    ),
    (
        "down",
        "The series is falling: continue it with what must follow.",
        _series(lambda s: s[:0:-1], lambda s: f"then {s[0]}"),
    ),
    (
        "twice",
        "The series is rising: continue it with two more that must follow.",
        _series(lambda s: s[:3], lambda s: f"then {s[3]}, then {s[4]}"),
    ),
    (
        "gap",
        "The series is rising, with one gap: say what must fill it.",
        _series(lambda s: [*s[:2], "_", *s[3:]], lambda s: f"then {s[2]}"),
    ),
)


def _different(dice: task.Dice) -> list[int]:
  """Draws two different numbers from 0 to 99."""
  return dice.sample(range(100), 2)


def _ages(dice: task.Dice) -> list[tuple[str, int]]:
  """Draws two people and their ages, which differ."""
  ages = dice.sample(range(5, 100), 2)
  return list(zip(dice.sample(words.NAMES, 2), ages, strict=True))


def _compare(pick: Callable, word: str) -> task.Draw:
  """Asks which of two numbers is larger or smaller."""
  opposite = {max: min, min: max}[pick]
  return task.skill(
      _different,
      lambda n: f"{n[0]} or {n[1]}",
      lambda n: f"{pick(n)} is {word} than {opposite(n)}",
  )


def _compare_ages(pick: Callable, word: str) -> task.Draw:
  """Asks which of two people is older or younger."""
  return task.skill(
      _ages,
      lambda ages: " and ".join(f"{name} is {age}" for name, age in ages),
      lambda ages: f"{pick(ages, key=lambda person: person[1])[0]} is {word}",
  )


COMPARE = task.family(
    "compare",
    (
        "larger",
        "Compare these two numbers and tell which of them is larger.",
        _compare(max, "larger"),
    ),
    (
        "smaller",
        "Compare these two numbers and tell which of them is smaller.",
        _compare(min, "smaller"),
    ),
    (
        "older",
        "Compare these two people and tell which of them is older.",
        _compare_ages(max, "older"),
    ),
    (
        "younger",
        "Compare these two people and tell which of them is younger.",
        _compare_ages(min, "younger"),
    ),
)
