"""Families on letters and on counting."""

from collections.abc import Callable

from zsgen.data.sources.synth import lists, task, texts, words


def _word(dice: task.Dice) -> str:
  """Draws a word."""
  return dice.choose(words.WORDS)


def _letter(position: int) -> task.Draw:
  """Asks for the letter at a position."""
  return task.skill(_word, str, lambda word: f"The letter {word[position]}.")


LETTER = task.family(
    "letter",
    (
        "first",
        "Which letter of the alphabet stands at the start of this word?",
        _letter(0),
    ),
    (
        "last",
        "Which letter of the alphabet stands at the end of this word?",
        _letter(-1),
    ),
    (
        "second",
        "Which letter of the alphabet stands second from the front of this word?",
        _letter(1),
    ),
    (
        "third",
        "Which letter of the alphabet stands third from the front of this word?",
        _letter(2),
    ),
)


def vowels(word: str) -> int:
  """Counts the letters a, e, i, o, u of a word."""
  return sum(word.count(letter) for letter in "aeiou")


def _two(dice: task.Dice) -> str:
  """Draws two nouns."""
  return " ".join(dice.sample(words.NOUNS, 2))


def nouns(dice: task.Dice) -> list[str]:
  """Draws 2 to 6 nouns."""
  return dice.sample(words.NOUNS, dice.between(2, 6))


def _repeated(dice: task.Dice) -> list[str]:
  """Draws one noun, repeated 2 to 4 times, and 1 or 2 others."""
  noun, *other_nouns = dice.sample(words.NOUNS, dice.between(2, 3))
  sequence = [noun] * dice.between(2, 4) + other_nouns
  return dice.sample(sequence, len(sequence))


def _most_frequent(sequence: list[str]) -> str:
  """Returns the most frequent noun."""
  return max(sequence, key=sequence.count)


def _count(value: Callable, show: Callable, count: Callable) -> task.Draw:
  """Asks for a number, in a sentence."""
  return task.skill(
      value, show, lambda item: f"There are {count(item)} of them."
  )


COUNT = task.family(
    "count",
    (
        "items",
        "How many things are listed? Count them and reply in a full sentence.",
        _count(nouns, lists.join, len),
    ),
    (
        "words",
        "How many words are written? Count them and reply in a full sentence.",
        _count(texts.line, lists.row, len),
    ),
    (
        "letters",
        "How many letters are used? Count them and reply in a full sentence.",
        _count(_word, str, len),
    ),
    (
        "vowels",
        "How many vowels are used? Count them and reply in a full sentence.",
        _count(_two, str, vowels),
    ),
    (
        "same",
        "How many words are the same? Count them and reply in a full sentence.",
        _count(_repeated, lists.row, lambda w: w.count(_most_frequent(w))),
    ),
)
