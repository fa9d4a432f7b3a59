"""What a text of the worlds is made of: facts, told in many wordings."""

from collections.abc import Callable, Iterator
import dataclasses

from zsgen.data.sources.synth import task, words

# A text is full at the first length, and never exceeds the second (bytes).
_FULL, _LONGEST = 150, 240


@dataclasses.dataclass(frozen=True)
class Fact:
  """Something that holds, and the ways to say it."""

  # Draws what the wordings name.
  fields: Callable[[task.Dice], dict[str, object]]
  wordings: tuple[str, ...]


def text(dice: task.Dice, facts: tuple[Fact, ...]) -> str:
  """A text of at most 240 bytes: facts said one after another.

  Half of the texts say one kind of fact in one wording over and over, as
  tables do; the others say a fact in two ways and go on to another.
  """
  sayings = _table(dice, facts) if dice.below(2) else _prose(dice, facts)
  between = dice.one((" ", " ", "\n"))  # After a full sentence.
  said = next(sayings)
  while len(said) < _FULL:
    ended = said[-1] in '.!?"'
    longer = said + (between if ended else "\n") + next(sayings)
    if len(longer) > _LONGEST:
      break
    said = longer
  return said


def people(dice: task.Dice) -> dict[str, object]:
  """Two people, `name` and `friend`."""
  name, friend = dice.some(words.NAMES, 2)
  return dict(name=name, friend=friend)


def _table(dice: task.Dice, facts: tuple[Fact, ...]) -> Iterator[str]:
  """One kind of fact, in one wording."""
  fact = dice.one(facts)
  wording = dice.one(fact.wordings)
  while True:
    yield wording.format_map(fact.fields(dice))


def _prose(dice: task.Dice, facts: tuple[Fact, ...]) -> Iterator[str]:
  """Facts of all kinds, each in two wordings."""
  while True:
    fact = dice.one(facts)
    fields = fact.fields(dice)
    for wording in dice.some(fact.wordings, 2):
      yield wording.format_map(fields)
