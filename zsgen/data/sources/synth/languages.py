"""Families of tasks on made-up languages, far from all held-out tasks.

Each family has two languages of its own, whose words are drawn syllable by
syllable. No held-out task has a sibling among them.
"""

import functools

from zsgen.data.sources.synth import task

_CONSONANTS, _VOWELS = "bdfghjklmnprstvz", "aeiou"
# Words of a language, and families that have names of their own.
_SIZE, MOST = 40, 10_000


def families(count: int) -> tuple[task.Task, ...]:
  """Returns the tasks of the first `count` families, three each."""
  return tuple(entry for number in range(count) for entry in _family(number))


@functools.cache
def _family(number: int) -> tuple[task.Task, ...]:
  """Returns tasks on two languages; the number alone determines them."""
  dice = task.Dice(number, "languages")
  words = _words(dice, 2 * _SIZE + 2)
  names = [f"{word.title()}ish" for word in words[-2:]]
  pairs = list(zip(words[:_SIZE], words[_SIZE:-2], strict=True))
  return task.family(
      f"language{number:04}",
      (
          "there",
          f"{names[0]} to {names[1]}.",
          _translate(pairs),
      ),
      (
          "back",
          f"{names[1]} to {names[0]}.",
          _translate([(second, first) for first, second in pairs]),
      ),
      (
          "pick",
          f"Which one is {names[0]}?",
          _pick(pairs),
      ),
  )


def _words(dice: task.Dice, count: int) -> list[str]:
  """Draws different words of two or three syllables."""
  words: dict[str, None] = {}
  while len(words) < count:
    syllables = [
        dice.choose(_CONSONANTS) + dice.choose(_VOWELS)
        for _ in range(dice.between(2, 3))
    ]
    words["".join(syllables)] = None
  return list(words)


def _translate(pairs: list[tuple[str, str]]) -> task.Draw:
  """Translates a few words, one by one."""
  return task.skill(
      lambda dice: dice.sample(pairs, dice.between(2, 4)),
      lambda words: " ".join(first for first, _ in words),
      lambda words: " ".join(second for _, second in words),
  )


def _pick(pairs: list[tuple[str, str]]) -> task.Draw:
  """Finds the word of the first language among two of the second."""

  def value(dice: task.Dice) -> tuple[list[str], str]:
    """Returns three words in a random sequence, and the one to find."""
    (answer, _), *others = dice.sample(pairs, 3)
    shown = [answer, *(second for _, second in others)]
    return dice.sample(shown, len(shown)), answer

  return task.skill(value, lambda v: " ".join(v[0]), lambda v: v[1])
