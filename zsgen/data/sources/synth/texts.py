"""Families on the form of phrases: style, word order, repetition."""

from collections.abc import Callable

from zsgen.data.sources.synth import task, words


def phrase(dice: task.Dice) -> str:
  """Draws a short phrase, such as "old red hat"."""
  parts = [dice.choose(words.COLOURS), dice.choose(words.NOUNS)]
  if dice.below(2):
    parts.insert(0, dice.choose(words.ADJECTIVES))
  return " ".join(parts)


def line(dice: task.Dice) -> list[str]:
  """Draws 4 or 5 words on who does what near which place."""
  person, location = dice.choose(words.NAMES).lower(), dice.choose(
      words.LOCATIONS
  )
  ending = ["near", location] if dice.below(2) else ["near", "the", location]
  return [person, dice.choose(words.VERBS)[0], *ending]


def _style(change: Callable[[str], str]) -> task.Draw:
  """Asks for the changed form of a phrase."""
  return task.skill(phrase, str, change)


def _move(change: Callable[[list[str]], list[str]]) -> task.Draw:
  """Asks for the words of a line in another sequence."""
  return task.skill(line, " ".join, lambda items: " ".join(change(items)))


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


def _short_phrase(dice: task.Dice) -> str:
  """Draws two words of at most 12 bytes."""
  while True:
    text = f"{dice.choose(words.COLOURS)} {dice.choose(words.NOUNS)}"
    if len(text) <= 12:
      return text


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
        task.skill(_short_phrase, str, lambda text: f"{text} and {text}"),
    ),
    (
        "thrice",
        "Repeat after me three times, exactly, with commas in between.",
        task.skill(
            lambda dice: dice.choose(words.WORDS),
            str,
            lambda w: f"{w}, {w}, {w}",
        ),
    ),
    (
        "polite",
        'Repeat after me one time, exactly, with "please" at the end.',
        task.skill(phrase, str, lambda text: f"{text}, please"),
    ),
)
