"""Facts on sentences: their forms, and small stories with questions."""

from zsgen.data.sources.synth import sentences, task, words
from zsgen.data.sources.worlds.fact import Fact, people


def _other(dice: task.Dice, name: str) -> str:
  """Somebody else."""
  return dice.one([each for each in words.NAMES if each != name])


def _action(dice: task.Dice) -> dict[str, object]:
  """What somebody does, now and in the past, asked and ordered."""
  scene = sentences.scene(dice)
  return dict(
      name=scene.who,
      friend=_other(dice, scene.who),
      does=scene.verb[0],
      do=scene.verb[1],
      did=scene.verb[2],
      now=scene.now,
      past=scene.past,
      asked=scene.asked,
      told=scene.told,
  )


def _state(dice: task.Dice) -> dict[str, object]:
  """What something is like, and the other ways to say it."""
  scene = sentences.scene(dice)
  return dict(
      name=scene.who,
      noun=scene.noun,
      nouns=words.plural(scene.noun),
      adjective=scene.adjective,
      opposite=words.OPPOSITE[scene.adjective],
      one=scene.one,
      many=scene.many,
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
  """Who saw what, where, and of which colour."""
  story = sentences.story(dice)
  friend = _other(dice, story["who"])
  return story | dict(friend=friend, a_thing=words.article(story["thing"]))


def _event(dice: task.Dice) -> dict[str, object]:
  """What somebody did, good and bad."""
  return people(dice) | dict(
      noun=dice.one(words.NOUNS),
      good=dice.one(words.GOOD),
      bad=dice.one(words.BAD),
  )


_SAW = "{who} saw a {colour} {thing} at the {place}."

STORIES = (
    Fact(
        _story,
        (
            _SAW,
            _SAW + " Who saw it? {who}.",
            _SAW + " Where? At the {place}.",
            _SAW + " What was it? It was {a_thing}.",
            _SAW + " Which colour? {colour}.",
            _SAW + " So the {thing} is {colour}.",
            _SAW + " {friend} goes to the {place} too.",
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
