"""Families on sentences: label them, rewrite them, answer from them."""

from collections.abc import Callable
import dataclasses

from zsgen.data.sources.synth import task, words


@dataclasses.dataclass(frozen=True)
class Scene:
  """What a sentence is about; the properties say it in a sentence."""

  who: str
  # (he, they, yesterday) forms.
  verb: tuple[str, ...]
  place: str
  noun: str
  adjective: str

  @property
  def now(self) -> str:
    return f"{self.who} {self.verb[0]} near the {self.place}."

  @property
  def past(self) -> str:
    return f"{self.who} {self.verb[2]} near the {self.place}."

  @property
  def asked(self) -> str:
    return f"Does {self.who} {self.verb[1]} near the {self.place}?"

  @property
  def told(self) -> str:
    return f"{self.verb[1].title()} near the {self.place}, {self.who}!"

  @property
  def one(self) -> str:
    return f"The {self.noun} is {self.adjective}."

  @property
  def many(self) -> str:
    return f"The {words.plural(self.noun)} are {self.adjective}."

  @property
  def denied(self) -> str:
    return f"The {self.noun} is not {self.adjective}."

  @property
  def doubted(self) -> str:
    return f"Is the {self.noun} {self.adjective}?"

  @property
  def turned(self) -> str:
    return f"The {self.noun} is {words.OPPOSITE[self.adjective]}."


def scene(dice: task.Dice) -> Scene:
  """Draws a scene."""
  return Scene(
      who=dice.one(words.NAMES),
      verb=dice.one(words.VERBS),
      place=dice.one(words.PLACES),
      noun=dice.one(words.NOUNS),
      adjective=dice.one(words.ADJECTIVES),
  )


def _labelled(**says: Callable[[Scene], str]) -> task.Draw:
  """Asks under which label a sentence was made."""

  def draw(dice: task.Dice) -> tuple[str, str]:
    label = dice.one(tuple(says))
    return says[label](scene(dice)), label

  return draw


def _event(dice: task.Dice) -> tuple[str, str]:
  """A good or a bad event."""
  label, verbs = dice.one((("good", words.GOOD), ("bad", words.BAD)))
  verb, noun = dice.one(verbs), dice.one(words.NOUNS)
  return f"{dice.one(words.NAMES)} {verb} the {noun}.", label


LABEL = task.family(
    "label",
    (
        "mood",
        "Read and label as one of: question, statement, command.",
        _labelled(
            question=lambda s: s.asked,
            statement=lambda s: s.now,
            command=lambda s: s.told,
        ),
    ),
    (
        "time",
        "Read and label by its time as one of: past, present.",
        _labelled(past=lambda s: s.past, present=lambda s: s.now),
    ),
    (
        "number",
        "Read and label by its subject as one of: single, several.",
        _labelled(single=lambda s: s.one, several=lambda s: s.many),
    ),
    (
        "event",
        "Read and label by its event as one of: good, bad.",
        _event,
    ),
)


def _rewrite(
    show: Callable[[Scene], str], answer: Callable[[Scene], str]
) -> task.Draw:
  """Asks for the second form of a sentence, given the first."""
  return task.skill(scene, show, answer)


def _one(s: Scene) -> str:
  return s.one


REWRITE = task.family(
    "rewrite",
    (
        "past",
        "Change the sentence so that it tells what happened yesterday.",
        _rewrite(lambda s: s.now, lambda s: s.past),
    ),
    (
        "plural",
        "Change the sentence so that it tells about many, not about one.",
        _rewrite(_one, lambda s: s.many),
    ),
    (
        "opposite",
        "Change the sentence so that it tells the opposite quality.",
        _rewrite(_one, lambda s: s.turned),
    ),
    (
        "denied",
        "Change the sentence so that it tells it is not true.",
        _rewrite(_one, lambda s: s.denied),
    ),
    (
        "question",
        "Change the sentence so that it asks instead of tells.",
        _rewrite(_one, lambda s: s.doubted),
    ),
)


def story(dice: task.Dice) -> dict[str, str]:
  """Who saw what of which colour, and where."""
  return dict(
      who=dice.one(words.NAMES),
      colour=dice.one(words.COLOURS),
      thing=dice.one(words.NOUNS),
      place=dice.one(words.PLACES),
  )


def _ask(field: str) -> task.Draw:
  """Asks for one field of the story."""
  return task.skill(
      story,
      "{who} saw a {colour} {thing} at the {place}.".format_map,
      lambda s: s[field],
  )


ASK = task.family(
    "ask",
    (
        "who",
        "According to the story, who was looking? Only use its own words.",
        _ask("who"),
    ),
    (
        "where",
        "According to the story, where was it? Only use its own words.",
        _ask("place"),
    ),
    (
        "what",
        "According to the story, what was seen? Only use its own words.",
        _ask("thing"),
    ),
    (
        "colour",
        "According to the story, what colour was it? Only use its own words.",
        _ask("colour"),
    ),
)
