"""Facts on the form of phrases: copies, styles, word order."""

from zsgen.data.sources.synth import lists, task, texts, words
from zsgen.data.sources.worlds.fact import Fact, people


def _coined(dice: task.Dice) -> str:
  """Draws two made-up words, which can only be copied by looking back."""
  letters = ("bdfgklmnprstvz", "aeiou") * 4
  text = "".join(map(dice.choose, letters))
  return f"{text[:4]} {text[4:]}"


def _line(dice: task.Dice) -> str:
  """Draws a line of words."""
  return lists.row(texts.line(dice))


def _numbers(dice: task.Dice) -> str:
  """Draws numbers, joined by spaces or commas."""
  return dice.choose((lists.row, lists.join))(lists.numbers(dice))


def _copied(dice: task.Dice) -> dict[str, object]:
  """Draws a text to repeat."""
  kind = dice.choose((_coined, texts.phrase, _line, _numbers))
  return people(dice) | dict(x=kind(dice), word=dice.choose(words.WORDS))


COPIES = (
    Fact(
        _copied,
        (
            "{name} says: {x}. {friend} says it too: {x}.",
            "{name}: {x}. {friend}: {x}.",
            "{x} - {x}",
            "{x} -> {x}",
            "{x}. And again: {x}.",
            "{x}, {x}, {x}.",
            "{x} and {x}.",
            "{word}, {word}, {word}!",
            '"{x}, please," says {name}. So {friend} brings {x}.',
            "On the first page stands {x} and on the second, too: {x}.",
            'Asked for the sign, {name} reads "{x}". It says {x}.',
        ),
    ),
)


def _phrase(dice: task.Dice) -> dict[str, object]:
  """Draws a phrase in several styles."""
  phrase = texts.phrase(dice)
  return dict(
      name=dice.choose(words.NAMES),
      phrase=phrase,
      upper=phrase.upper(),
      title=phrase.title(),
      hyphens=phrase.replace(" ", "-"),
  )


def _moved(dice: task.Dice) -> dict[str, object]:
  """Draws a line and its words in other sequences."""
  first, *middle, last = items = texts.line(dice)
  return dict(
      line=lists.row(items),
      back=lists.row(items[::-1]),
      swapped=lists.row([last, *middle, first]),
      front=lists.row([last, first, *middle]),
      end=lists.row([*middle, last, first]),
      first=first,
      last=last,
      count=len(items),
  )


STYLES = (
    Fact(
        _phrase,
        (
            "{phrase} -> {upper}",
            "{phrase} -> {title}",
            "{phrase} -> {hyphens}",
            "{phrase} ({phrase})",
            '{phrase}, or "{phrase}" in quotes.',
            "{phrase}, or ({phrase}) in brackets.",
            "In capitals {phrase} is {upper}.",
            "On the sign {phrase} is written {title}.",
            "With hyphens {phrase} is {hyphens}.",
            "{name} shouts {upper}, which means {phrase}.",
        ),
    ),
    Fact(
        _moved,
        (
            "{line}: the same words backward are {back}.",
            "{line} -> backward: {back}",
            "{line} -> ends swapped: {swapped}",
            "{line} -> last one in front: {front}",
            "{line} -> first one at the end: {end}",
            "{line} has {count} words, from {first} to {last}.",
            "With {last} in front, {line} is {front}.",
            "With {first} at the end, {line} is {end}.",
            "With {first} and {last} swapped, {line} is {swapped}.",
        ),
    ),
)
