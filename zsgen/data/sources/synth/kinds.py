"""Families on the kinds of words: yes or no, and find one of a kind."""

from zsgen.data.sources.synth import lists, task, words


def with_article(kind: str) -> str:
  """Returns the kind with its article: "an animal", but "food"."""
  return kind if kind == "food" else words.article(kind)


def _ask_membership(kind: str) -> task.Draw:
  """Asks whether a noun is of the kind; half of the answers are yes."""

  def value(dice: task.Dice) -> tuple[str, str]:
    """Returns a noun with a colour, and the kind of the noun."""
    other_kinds = [name for name in words.KINDS if name not in (kind, "colour")]
    actual = kind if dice.below(2) else dice.choose(other_kinds)
    noun = dice.choose(words.KINDS[actual])
    return f"the {dice.choose(words.COLOURS)} {noun}", actual

  return task.skill(
      value, lambda v: v[0], lambda v: "yes" if v[1] == kind else "no"
  )


KIND = task.family(
    "kind",
    (
        "animal",
        "Do we speak of an animal here, yes or no?",
        _ask_membership("animal"),
    ),
    (
        "food",
        "Do we speak of something to eat here, yes or no?",
        _ask_membership("food"),
    ),
    (
        "place",
        "Do we speak of a place to visit here, yes or no?",
        _ask_membership("place"),
    ),
    (
        "garment",
        "Do we speak of something to wear here, yes or no?",
        _ask_membership("garment"),
    ),
)


def group(dice: task.Dice, kind: str) -> tuple[list[str], str]:
  """Returns a noun of the kind among 2 of other kinds, and that noun."""
  other_kinds = dice.sample([name for name in words.KINDS if name != kind], 2)
  nouns = [dice.choose(words.KINDS[name]) for name in (kind, *other_kinds)]
  return dice.sample(nouns, len(nouns)), nouns[0]


def _find(kind: str) -> task.Draw:
  """Asks which of some nouns is of the kind."""
  return task.skill(
      lambda dice: group(dice, kind),
      lambda item: lists.join(item[0]),
      lambda item: f"{item[1]} is {with_article(kind)}",
  )


FIND = task.family(
    "find",
    (
        "animal",
        "Find the member of the group that names a living animal.",
        _find("animal"),
    ),
    (
        "food",
        "Find the member of the group that names a kind of food.",
        _find("food"),
    ),
    (
        "place",
        "Find the member of the group that names a sort of place.",
        _find("place"),
    ),
    (
        "garment",
        "Find the member of the group that names a piece of clothing.",
        _find("garment"),
    ),
    (
        "colour",
        "Find the member of the group that names a shade of colour.",
        _find("colour"),
    ),
)
