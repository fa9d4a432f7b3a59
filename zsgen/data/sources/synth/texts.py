"""Families on phrases as they stand: style, word order, repetition."""

from collections.abc import Callable

from zsgen.data.sources.synth import task, words


def phrase(dice: task.Dice) -> str:
  """A short phrase, such as "old red hat"."""
  parts = [dice.one(words.COLOURS), dice.one(words.NOUNS)]
  if dice.below(2):
    parts.insert(0, dice.one(words.ADJECTIVES))
  return " ".join(parts)


def line(dice: task.Dice) -> list[str]:
  """Words that tell who does what near which place, in 4 or 5 words."""
  who, place = dice.one(words.NAMES).lower(), dice.one(words.PLACES)
  where = ["near", place] if dice.below(2) else ["near", "the", place]
  return [who, dice.one(words.VERBS)[0], *where]


def _style(change: Callable[[str], str]) -> task.Draw:
  """A phrase and its changed form."""
  return task.skill(phrase, str, change)


def _move(change: Callable[[list[str]], list[str]]) -> task.Draw:
  """A line and its words in another sequence."""
  return task.skill(line, " ".join, lambda drawn: " ".join(change(drawn)))


STYLE = task.family(
    "style",
    (
        "upper",
        "Write the phrase again using a capital for every letter.",
        _style(str.upper),
    ),
    (
        "title",
        "Write the phrase again using a capital at the start of each word.",
        _style(str.title),
    ),
    (
        "hyphen",
        "Write the phrase again using hyphens in place of spaces.",
        _style(lambda text: text.replace(" ", "-")),
    ),
    (
        "brackets",
        "Write the phrase again using round brackets on both sides.",
        _style(lambda text: f"({text})"),
    ),
    (
        "quotes",
        "Write the phrase again using double quotes on both sides.",
        _style(lambda text: f'"{text}"'),
    ),
)

WORDS = task.family(
    "words",
    (
        "reverse",
        "Say every word of this line backward, last word to first word.",
        _move(lambda w: w[::-1]),
    ),
    (
        "swap",
        "Say every word of this line, but let first and last word trade places.",
        _move(lambda w: [w[-1], *w[1:-1], w[0]]),
    ),
    (
        "front",
        "Say every word of this line, but let the last word lead.",
        _move(lambda w: [w[-1], *w[:-1]]),
    ),
    (
        "back",
        "Say every word of this line, but let the first word come last.",
        _move(lambda w: [*w[1:], w[0]]),
    ),
)


def _thing(dice: task.Dice) -> str:
  """Two words, of 12 bytes at most."""
  while True:
    drawn = f"{dice.one(words.COLOURS)} {dice.one(words.NOUNS)}"
    if len(drawn) <= 12:
      return drawn


REPEAT = task.family(
    "repeat",
    (
        "once",
        "Repeat after me one time, exactly, with nothing changed.",
        task.skill(phrase, str, str),
    ),
    (
        "twice",
        'Repeat after me two times, exactly, with "and" in between.',
        task.skill(_thing, str, lambda text: f"{text} and {text}"),
    ),
    (
        "thrice",
        "Repeat after me three times, exactly, with commas in between.",
        task.skill(
            lambda dice: dice.one(words.WORDS), str, lambda w: f"{w}, {w}, {w}"
        ),
    ),
    (
        "polite",
        'Repeat after me one time, exactly, with "please" at the end.',
        task.skill(phrase, str, lambda text: f"{text}, please"),
    ),
)
