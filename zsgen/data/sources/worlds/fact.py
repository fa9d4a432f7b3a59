"""The facts that texts of the worlds consist of, in many wordings."""

from collections.abc import Callable, Iterator
import dataclasses

from zsgen.data.sources.synth import task, words

# A text is full at the first length, and never exceeds the second (bytes).
_FULL, _LONGEST = 150, 240


@dataclasses.dataclass(frozen=True)
class Fact:
  """A fact, and its wordings."""

  # Draws the fields of the wordings.
  fields: Callable[[task.Dice], dict[str, object]]
  wordings: tuple[str, ...]


def text(dice: task.Dice, facts: tuple[Fact, ...]) -> str:
  """Draws a text of at most 240 bytes: one fact after another.

  Half of the texts repeat one kind of fact in one wording, as tables do; the
  others word each fact in two ways.
  """
  sayings = _table(dice, facts) if dice.below(2) else _prose(dice, facts)
  between = dice.choose((" ", " ", "\n"))  # After a full sentence.
  result = next(sayings)
  while len(result) < _FULL:
    ended = result[-1] in '.!?"'
    longer = result + (between if ended else "\n") + next(sayings)
    if len(longer) > _LONGEST:
      break
    result = longer
  return result


def people(dice: task.Dice) -> dict[str, object]:
  """Draws two people, `name` and `friend`."""
  name, friend = dice.sample(words.NAMES, 2)
  return dict(name=name, friend=friend)


def _table(dice: task.Dice, facts: tuple[Fact, ...]) -> Iterator[str]:
  """Yields one kind of fact in one wording."""
  fact = dice.choose(facts)
  wording = dice.choose(fact.wordings)
  while True:
    yield wording.format_map(fact.fields(dice))


def _prose(dice: task.Dice, facts: tuple[Fact, ...]) -> Iterator[str]:
  """Yields facts of all kinds, each in two wordings."""
  while True:
    fact = dice.choose(facts)
    fields = fact.fields(dice)
    for wording in dice.sample(fact.wordings, 2):
      yield wording.format_map(fields)
