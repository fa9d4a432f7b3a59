"""Facts on sentences: their forms, and small stories with questions."""

from zsgen.data.sources.synth import sentences, task, words
from zsgen.data.sources.worlds.fact import Fact, people


def _other_name(dice: task.Dice, name: str) -> str:
  """Draws another name."""
  return dice.choose(
      [candidate for candidate in words.NAMES if candidate != name]
  )


def _action(dice: task.Dice) -> dict[str, object]:
  """Draws an action, in the present and past, as question and command."""
  scene = sentences.scene(dice)
  return dict(
      name=scene.person,
      friend=_other_name(dice, scene.person),
      does=scene.verb[0],
      do=scene.verb[1],
      did=scene.verb[2],
      now=scene.now,
      past=scene.past,
      asked=scene.question,
      told=scene.command,
  )


def _state(dice: task.Dice) -> dict[str, object]:
  """Draws a quality of something, in several forms."""
  scene = sentences.scene(dice)
  return dict(
      name=scene.person,
      noun=scene.noun,
      nouns=words.plural(scene.noun),
      adjective=scene.adjective,
      opposite=words.OPPOSITE[scene.adjective],
      one=scene.singular,
      many=scene.plural,
      denied=scene.denied,
      doubted=scene.doubted,
      turned=scene.turned,
  )


FORMS = (
    Fact(
        _action,
        (
            "{now} Yesterday: {past}",
            "Today {now} Last week {past}",
            "{now} ({past})",
            "{does} - {did}",
            "I {do}, {name} {does}, and last year we {did}.",
            "{asked} Yes, {now}",
            "{friend} asks: {asked} That is a question.",
            "{friend} orders: {told} That is a command.",
            "{friend} notes: {now} That is a statement.",
            "{past} That is past. {now} That is present.",
            "{now} - present",
            "{past} - past",
            "{asked} - a question",
            "{told} - a command",
        ),
    ),
    Fact(
        _state,
        (
            "One {noun}, many {nouns}.",
            "{one} {many}",
            "{one} And all of these? {many}",
            "{one} - single",
            "{many} - several",
            "The opposite of {adjective} is {opposite}.",
            "{adjective} - {opposite}",
            "{one} Or the opposite: {turned}",
            "{one} {name} says no: {denied}",
            "{doubted} Yes: {one}",
            "{doubted} No: {denied}",
            "{name} asks: {doubted} We answer: {one}",
        ),
    ),
)


def _story(dice: task.Dice) -> dict[str, object]:
  """Draws who saw what, where, and of which colour."""
  story = sentences.story(dice)
  friend = _other_name(dice, story["who"])
  return {
      **story,
      "friend": friend,
      "a_thing": words.article(story["thing"]),
  }


def _event(dice: task.Dice) -> dict[str, object]:
  """Draws a good and a bad event."""
  return people(dice) | dict(
      noun=dice.choose(words.NOUNS),
      good=dice.choose(words.GOOD),
      bad=dice.choose(words.BAD),
  )


_SIGHTING = "{who} saw a {colour} {thing} at the {place}."

STORIES = (
    Fact(
        _story,
        (
            _SIGHTING,
            _SIGHTING + " Who saw it? {who}.",
            _SIGHTING + " Where? At the {place}.",
            _SIGHTING + " What was it? It was {a_thing}.",
            _SIGHTING + " Which colour? {colour}.",
            _SIGHTING + " So the {thing} is {colour}.",
            _SIGHTING + " {friend} goes to the {place} too.",
            '{friend} asks {who}: "Where is the {thing}?" "At the {place}."',
            "At the {place} there is {a_thing}. It is {colour}. {who} likes it.",
            "who: {who}, what: {thing}, colour: {colour}, where: {place}",
        ),
    ),
    Fact(
        _event,
        (
            "{name} {good} the {noun}. That is good.",
            "{name} {bad} the {noun}. That is bad.",
            "{name} {good} the {noun} but {friend} {bad} it.",
            "{name} {good} the {noun} and is happy. {friend} {bad} it: sad.",
            "{name} {bad} the {noun} - bad",
            "{name} {good} the {noun} - good",
        ),
    ),
)
