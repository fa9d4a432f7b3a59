"""Families on what a word names: yes or no, and find the one that does."""

from zsgen.data.sources.synth import lists, task, words


def named(kind: str) -> str:
  """The kind with its article: "an animal", but "food"."""
  return kind if kind == "food" else words.article(kind)


def _is(kind: str) -> task.Draw:
  """Asks whether a noun is of the kind; half of the answers are yes."""

  def value(dice: task.Dice) -> tuple[str, str]:
    others = [each for each in words.KINDS if each not in (kind, "colour")]
    drawn = kind if dice.below(2) else dice.one(others)
    noun = dice.one(words.KINDS[drawn])
    return f"the {dice.one(words.COLOURS)} {noun}", drawn

  return task.skill(
      value, lambda v: v[0], lambda v: "yes" if v[1] == kind else "no"
  )


KIND = task.family(
    "kind",
    (
        "animal",
        "Do we speak of an animal here, yes or no?",
        _is("animal"),
    ),
    (
        "food",
        "Do we speak of something to eat here, yes or no?",
        _is("food"),
    ),
    (
        "place",
        "Do we speak of a place to visit here, yes or no?",
        _is("place"),
    ),
    (
        "garment",
        "Do we speak of something to wear here, yes or no?",
        _is("garment"),
    ),
)


def group(dice: task.Dice, kind: str) -> tuple[list[str], str]:
  """A noun of the kind among 2 of other kinds; also that noun alone."""
  others = dice.some([each for each in words.KINDS if each != kind], 2)
  nouns = [dice.one(words.KINDS[each]) for each in (kind, *others)]
  return dice.some(nouns, len(nouns)), nouns[0]


def _find(kind: str) -> task.Draw:
  """Asks which of some nouns is of the kind."""
  return task.skill(
      lambda dice: group(dice, kind),
      lambda drawn: lists.join(drawn[0]),
      lambda drawn: f"{drawn[1]} is {named(kind)}",
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
