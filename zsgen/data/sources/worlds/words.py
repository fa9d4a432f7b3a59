"""Facts on words: their letters, and what they name."""

from zsgen.data.sources.synth import kinds, letters, lists, task, words
from zsgen.data.sources.worlds.fact import Fact, people


def _spelled(dice: task.Dice) -> dict[str, object]:
  """Draws a word and its letters."""
  word = dice.choose(words.WORDS)
  return dict(
      name=dice.choose(words.NAMES),
      word=word,
      spelled="-".join(word),
      first=word[0],
      second=word[1],
      third=word[2],
      last=word[-1],
      count=len(word),
      vowels=letters.vowels(word),
  )


LETTERS = (
    Fact(
        _spelled,
        (
            "{word} begins with {first} and ends with {last}.",
            "{word}: {spelled}",
            "{word} is spelled {spelled}.",
            "{word}: first letter {first}, last letter {last}.",
            "{word}: second letter {second}, third letter {third}.",
            "{name} spells {word}: {spelled}, {count} letters.",
            "{word}, {spelled}: letters {count}, vowels {vowels}.",
            "{word} has {count} letters.",
            "{word} has {vowels} of the vowels a, e, i, o, u.",
            "Like {word}: the letter {first} first, the letter {last} last.",
            "After {first} in {word} comes {second}, then {third}.",
        ),
    ),
)


def _noun(dice: task.Dice) -> dict[str, object]:
  """Draws a noun, its kind, and another kind."""
  kind, other_kind = dice.sample(tuple(words.KINDS), 2)
  noun = dice.choose(words.KINDS[kind])
  return people(dice) | dict(
      noun=noun,
      colour=dice.choose(words.COLOURS),
      kind=kind,
      a_kind=kinds.with_article(kind),
      not_kind=kinds.with_article(other_kind),
      use=_USES[kind],
  )


_USES = {
    "animal": "is alive",
    "food": "is for eating",
    "place": "is for visits",
    "garment": "is for wearing",
    "colour": "is for painting",
}


def _group(dice: task.Dice) -> dict[str, object]:
  """Draws nouns of several kinds, one of them of the given kind."""
  kind = dice.choose(tuple(words.KINDS))
  nouns, noun = kinds.group(dice, kind)
  return dict(
      name=dice.choose(words.NAMES),
      all=lists.join(nouns),
      noun=noun,
      kind=kind,
      a_kind=kinds.with_article(kind),
  )


KINDS = (
    Fact(
        _noun,
        (
            "{noun} is {a_kind}.",
            "{noun} - {kind}",
            "{noun}: {kind}",
            "{noun} {use}.",
            "Is {noun} {a_kind}? Yes.",
            "Is {noun} {not_kind}? No, {noun} is {a_kind}.",
            '"Is {noun} {not_kind}?" asks {name}. "No," says {friend}.',
            '"Is {noun} {a_kind}?" asks {name}. "Yes," says {friend}.',
            "The word {noun} stands for {a_kind}.",
        ),
    ),
    Fact(
        _group,
        (
            "Among {all} only {noun} is {a_kind}.",
            "{all}: {noun} is {a_kind}.",
            "{all} -> {kind}: {noun}",
            "{name} wants {a_kind}. Out of {all} it must be {noun}.",
        ),
    ),
)
