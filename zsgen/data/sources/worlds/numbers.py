"""Facts on numbers: their parity and size, sums, series, comparisons."""

from zsgen.data.sources.synth import lists, numbers, task, words
from zsgen.data.sources.worlds.fact import Fact, people


def _join_or_none(selected: list[int]) -> str:
  """Joins numbers with commas; "none" if there are none."""
  return lists.join(selected) or "none"


def _parts(dice: task.Dice) -> dict[str, object]:
  """Draws a list of numbers and its parts."""
  items = lists.numbers(dice)
  return people(dice) | dict(
      all=lists.join(items),
      even=_join_or_none([n for n in items if n % 2 == 0]),
      odd=_join_or_none([n for n in items if n % 2]),
      large=_join_or_none([n for n in items if n > 50]),
      small=_join_or_none([n for n in items if n < 50]),
      tens=_join_or_none([n for n in items if n % 5 == 0]),
      most=max(items),
      least=min(items),
  )


def _single(dice: task.Dice) -> dict[str, object]:
  """Draws a number and its properties."""
  n = dice.below(100)
  return dict(
      n=n,
      parity=("even", "odd")[n % 2],
      size="above" if n > 50 else "below" if n < 50 else "exactly",
      before=n - 1 if n else "nothing",
      after=n + 1,
  )


PARTS = (
    Fact(
        _parts,
        (
            "The numbers {all}: of these {even} are even.",
            "{all}: even {even}, odd {odd}.",
            "Of {all}, the odd ones are {odd}.",
            "{name} has {all}. Even are {even}.",
            "{all} -> odd: {odd}",
            "{all} -> even: {even}",
            '"Which of {all} are odd?" asks {name}. "{odd}," says {friend}.',
            '"Any even ones in {all}?" asks {name}. "{even}," says {friend}.',
            "Above 50 in {all}: {large}.",
            "{all} - larger than 50: {large}; smaller than 50: {small}.",
            "{name} wants those over 50. Out of {all} that leaves {large}.",
            "{name} counts only what is below 50. Out of {all}: {small}.",
            "From {all}, {name} takes {small}, as these are under 50.",
            "{all}. Ending in 0 or 5: {tens}.",
            "{name} counts by fives, so of {all} the good ones are {tens}.",
            "{all}: the largest is {most} and the smallest is {least}.",
            "largest of {all} = {most}",
            "{all}. No number there is larger than {most}.",
        ),
    ),
    Fact(
        _single,
        (
            "{n} is {parity}.",
            "{n}: {parity}, {size} 50.",
            "{n} is {size} 50.",
            "Is {n} even or odd? It is {parity}.",
            "After {n} comes {after}, before it {before}.",
        ),
    ),
)


def _sum(dice: task.Dice) -> dict[str, object]:
  """Draws numbers, their sums and differences."""
  a, b, c = dice.between(0, 20), dice.between(0, 20), dice.below(10)
  e, f = dice.below(10), dice.below(10)
  noun = words.plural(dice.choose(words.NOUNS))
  return dict(
      name=dice.choose(words.NAMES),
      nouns=noun,
      a=a,
      b=b,
      ab=a + b,
      c=c,
      e=e,
      f=f,
      cef=c + e + f,
      small=min(a, b),
      large=max(a, b),
      left=abs(a - b),
  )


def _series(dice: task.Dice) -> dict[str, object]:
  """Draws a series."""
  a, b, c, d, e = numbers.series(dice)
  return dict(
      name=dice.choose(words.NAMES), a=a, b=b, c=c, d=d, e=e, step=b - a
  )


def _pair(dice: task.Dice) -> dict[str, object]:
  """Draws two numbers, the larger and the smaller."""
  a, b = dice.sample(range(100), 2)
  return dict(a=a, b=b, large=max(a, b), small=min(a, b))


def _ages(dice: task.Dice) -> dict[str, object]:
  """Draws two people, the elder and the younger."""
  first, second = dice.sample(words.NAMES, 2)
  a, b = dice.sample(range(5, 100), 2)
  return dict(
      one=first,
      two=second,
      a=a,
      b=b,
      elder=first if a > b else second,
      junior=second if a > b else first,
  )


SUMS = (
    Fact(
        _sum,
        (
            "{a} + {b} = {ab}",
            "{b} + {a} = {ab}",
            "{large} - {small} = {left}",
            "{c} + {e} + {f} = {cef}",
            "{a} plus {b} is {ab}.",
            "{a} and {b} make {ab}, for {a} + {b} = {ab}.",
            "{a} and {b}, the other way round: {b} + {a} = {ab}.",
            "{large} minus {small} is {left}.",
            "Take {small} from {large}: {large} - {small} = {left}.",
            "{c}, {e} and {f} are {cef} in all: {c} + {e} + {f} = {cef}.",
            "{name} had {a} {nouns}, got {b} more, and now has {ab}.",
            "{name} had {large} {nouns}, lost {small}, and now has {left}.",
        ),
    ),
    Fact(
        _series,
        (
            "{a}, {b}, {c}, {d}, {e}.",
            "{e}, {d}, {c}, {b}, {a}.",
            "{name} counts by {step}: {a}, {b}, {c}, {d}, then {e}.",
            "{name} counts down by {step}: {e}, {d}, {c}, {b}, then {a}.",
            "After {a}, {b}, {c} come {d} and {e}.",
            "{e}, {d}, {c}, {b} and then {a}.",
            "In {a}, {b}, _, {d}, {e} the lost number is {c}.",
            "{a}, {b}, {c} - then {d}, then {e}.",
        ),
    ),
    Fact(
        _pair,
        (
            "{large} is larger than {small}.",
            "{small} is smaller than {large}.",
            "{a} or {b}? The larger is {large}.",
            "Of {a} and {b}, {small} is smaller.",
            "{a}, {b}: larger {large}, smaller {small}.",
        ),
    ),
    Fact(
        _ages,
        (
            "{one} is {a} and {two} is {b}, so {elder} is older.",
            "{one} is {a}, {two} is {b}: {junior} is younger.",
            "Who is older, {one} ({a}) or {two} ({b})? It is {elder}.",
            "{junior} is younger than {elder}.",
        ),
    ),
)
