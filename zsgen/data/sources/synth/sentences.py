"""Families on sentences: label them, rewrite them, answer from them."""

from collections.abc import Callable
import dataclasses

from zsgen.data.sources.synth import task, words


@dataclasses.dataclass(frozen=True)
class Scene:
  """The content of a sentence; the properties are its sentences."""

  person: str
  # (he, they, yesterday) forms.
  verb: tuple[str, ...]
  location: str
  noun: str
  adjective: str

  @property
  def now(self) -> str:
    """The statement in the present tense."""
    return f"{self.person} {self.verb[0]} near the {self.location}."

  @property
  def past(self) -> str:
    """The statement in the past tense."""
    return f"{self.person} {self.verb[2]} near the {self.location}."

  @property
  def question(self) -> str:
    """The statement as a question."""
    return f"Does {self.person} {self.verb[1]} near the {self.location}?"

  @property
  def command(self) -> str:
    """The statement as a command."""
    return f"{self.verb[1].title()} near the {self.location}, {self.person}!"

  @property
  def singular(self) -> str:
    """The description of one thing."""
    return f"The {self.noun} is {self.adjective}."

  @property
  def plural(self) -> str:
    """The description of several things."""
    return f"The {words.plural(self.noun)} are {self.adjective}."

  @property
  def denied(self) -> str:
    """The description denied."""
    return f"The {self.noun} is not {self.adjective}."

  @property
  def doubted(self) -> str:
    """The description as a question."""
    return f"Is the {self.noun} {self.adjective}?"

  @property
  def turned(self) -> str:
    """The description with the opposite adjective."""
    return f"The {self.noun} is {words.OPPOSITE[self.adjective]}."


def scene(dice: task.Dice) -> Scene:
  """Draws a scene."""
  return Scene(
      person=dice.choose(words.NAMES),
      verb=dice.choose(words.VERBS),
      location=dice.choose(words.LOCATIONS),
      noun=dice.choose(words.NOUNS),
      adjective=dice.choose(words.ADJECTIVES),
  )


def _labelled(**forms: Callable[[Scene], str]) -> task.Draw:
  """Asks for the label of a sentence."""

  def draw(dice: task.Dice) -> tuple[str, str]:
    """Returns a sentence of a form, and the label of the form."""
    label = dice.choose(tuple(forms))
    return forms[label](scene(dice)), label

  return draw


def _event(dice: task.Dice) -> tuple[str, str]:
  """Draws a good or a bad event."""
  label, verbs = dice.choose((("good", words.GOOD), ("bad", words.BAD)))
  verb, noun = dice.choose(verbs), dice.choose(words.NOUNS)
  return f"{dice.choose(words.NAMES)} {verb} the {noun}.", label


LABEL = task.family(
    "label",
    (
        "mood",
        "Read and label as one of: question, statement, command.",
        _labelled(
            question=lambda s: s.question,
            statement=lambda s: s.now,
            command=lambda s: s.command,
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
        _labelled(single=lambda s: s.singular, several=lambda s: s.plural),
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


def _singular(s: Scene) -> str:
  return s.singular


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
        _rewrite(_singular, lambda s: s.plural),
    ),
    (
        "opposite",
        "Change the sentence so that it tells the opposite quality.",
        _rewrite(_singular, lambda s: s.turned),
    ),
    (
        "denied",
        "Change the sentence so that it tells it is not true.",
        _rewrite(_singular, lambda s: s.denied),
    ),
    (
        "question",
        "Change the sentence so that it asks instead of tells.",
        _rewrite(_singular, lambda s: s.doubted),
    ),
)


def story(dice: task.Dice) -> dict[str, str]:
  """Draws who saw what, of which colour, and where."""
  return dict(
      who=dice.choose(words.NAMES),
      colour=dice.choose(words.COLOURS),
      thing=dice.choose(words.NOUNS),
      place=dice.choose(words.LOCATIONS),
  )


def _ask_field(field: str) -> task.Draw:
  """Asks for one field of the story."""
  return task.skill(
      story,
      "{who} saw a {colour} {thing} at the {place}.".format_map,
      lambda s: s[field],
  )


QUESTIONS = task.family(
    "ask",
    (
        "who",
        "According to the story, who was looking? Only use its own words.",
        _ask_field("who"),
    ),
    (
        "where",
        "According to the story, where was it? Only use its own words.",
        _ask_field("place"),
    ),
    (
        "what",
        "According to the story, what was seen? Only use its own words.",
        _ask_field("thing"),
    ),
    (
        "colour",
        "According to the story, what colour was it? Only use its own words.",
        _ask_field("colour"),
    ),
)
