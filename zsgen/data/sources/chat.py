"""Conversations: ShareGPT, and OpenAI's messages (NoRobots, UltraChat).

A row has `conversations` or `items` of `from` and `value`, or `messages` of
`role` and `content`; perhaps a `system` prompt. After system turns come the
user's and the assistant's, by turns. An answer with `"weight": 0` is not
trained on. What follows the last answer that is trained on, such as a question
without an answer, is cut off (as in 2406.11721, released code). A bad row is a
conversation with an empty turn, an unknown speaker, two turns of one speaker in
sequence, one that begins with the assistant, or one that has no answer to be
trained on.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import pathlib
import reprlib
from typing import Any

from zsgen.core import config, errors, registry
from zsgen.data import suite
from zsgen.data.sources import catalog, file_reader, files, options, records

# The task of conversations that name none.
TASK = "chat"
SYSTEM, USER, ASSISTANT = "system", "user", "assistant"
# The field of the turns, and a turn's fields of speaker and text.
_LAYOUTS = {
    "messages": ("role", "content"),
    "conversations": ("from", "value"),
    "items": ("from", "value"),
}
_ROLES = {
    "system": SYSTEM,
    "user": USER,
    "human": USER,
    "assistant": ASSISTANT,
    "gpt": ASSISTANT,
    "chatgpt": ASSISTANT,
    "bing": ASSISTANT,
    "bard": ASSISTANT,
}
# The options of `config.data.fields` that it reads.
_FIELDS = ("task", "category", "split", "key")
_KEYS = ("id", "prompt_id", "conversation_id")
# The field of a row with a system prompt, and that of a turn with a weight.
_SYSTEM, _WEIGHT = "system", "weight"


@dataclasses.dataclass(frozen=True)
class Options(options.Table):
  """The options of `chat`."""

  def check(self, where: str) -> None:
    """Raises InputError for fields that conversations do not have."""
    super().check(where)
    for field in dataclasses.fields(self.fields):
      value = getattr(self.fields, field.name)
      if field.name not in _FIELDS and value != field.default:
        raise errors.InputError(
            f"{where}.fields.{field.name} is {value!r}, but the source chat"
            f" reads only the fields {', '.join(_FIELDS)}. Leave it out."
        )


@registry.source("chat", options=Options)
def chat(data: Options, seed: int, scratch: pathlib.Path) -> suite.Suite:
  """Conversations as a suite.

  Args:
    data: `path` names the files. `fields.task`, `category`, `split` and `key`
      name fields of a conversation, where it has them; without a task it is
      of the task "chat", and a held-out share is a share of conversations.
    seed: draws the instances and shares.
    scratch: a directory for what cannot be read where it stands.

  Raises:
    InputError: no such file, bad rows, or no held-out set.
  """
  fields = data.fields
  listing = files.find(data.path, scratch, fields.split)
  columns = [
      *_LAYOUTS,
      *_KEYS,
      _SYSTEM,
      fields.task,
      fields.category,
      fields.split,
      fields.key,
  ]
  reader = file_reader.FileReader(
      listing,
      lambda row, origin: example(row, origin, fields),
      columns,
      fields.task,
  )
  return catalog.suite("chat", reader, data, seed, scratch, unlabelled=TASK)


def example(
    row: Any, origin: file_reader.Origin, fields: config.Fields
) -> suite.Example:
  """A conversation as an example.

  Returns:
    All `turns`, stripped; `definition`, `input` and `targets` are the system
    turns, the first question and the first answer.

  Raises:
    InputError: the row cannot be used; see above.
  """
  turns = _turns(row, origin)
  spoken = [turn.text for turn in turns if turn.role != SYSTEM]
  return suite.Example(
      task=_label(row, fields.task, origin.place) or TASK,
      category=_label(row, fields.category, origin.place),
      split=_label(row, fields.split, origin.place) or origin.file.split,
      definition="\n".join(t.text for t in turns if t.role == SYSTEM),
      input=spoken[0],
      targets=(spoken[1],),
      key=_key(row, origin, fields.key),
      turns=turns,
  )


def _label(row: dict[str, Any], name: str, place: str) -> str:
  """A field that a conversation may have."""
  given = name and row.get(name) is not None
  return records.text(row, name, place) if given else ""


def _key(row: dict[str, Any], origin: file_reader.Origin, name: str) -> str:
  """The conversation's id; its number if it has none."""
  names = (name,) if name else _KEYS
  named = next((each for each in names if row.get(each) is not None), name)
  return records.key(row, named, origin.place) if named else origin.key


def _turns(row: Any, origin: file_reader.Origin) -> tuple[suite.Turn, ...]:
  """The turns up to the last answer that is trained on.

  The system prompt of the row comes first.
  """
  known = isinstance(row, dict)
  place = origin.place
  layout = next((n for n in _LAYOUTS if known and row.get(n) is not None), "")
  if known and not layout:
    raise errors.InputError(
        f"{place}: has none of the fields {', '.join(_LAYOUTS)}."
    )
  listed = records.field(row, layout, (list,), place)
  turns = [
      _turn(turn, layout, f"{place}: turn {number}", origin.pass_over)
      for number, turn in enumerate(listed)
  ]
  if turns and turns[-1].role == USER:
    turns.pop()
  _check(turns, place)
  while not (turns[-1].role == ASSISTANT and turns[-1].is_trained):
    turns.pop()
  return (*_system(row, turns, place), *turns)


def _turn(
    turn: Any, layout: str, place: str, pass_over: Callable[[str], None]
) -> suite.Turn:
  """One turn."""
  speaker, said = _LAYOUTS[layout]
  name = records.field(turn, speaker, (str,), place)
  if name.lower() not in _ROLES:
    raise errors.InputError(
        f"{place}: the speaker {name!r} is not known. There are:"
        f" {', '.join(_ROLES)}."
    )
  role = _ROLES[name.lower()]
  text = records.text(turn, said, place).strip()
  weight = _weight(turn, place)
  for field, value in turn.items():
    read = (speaker, said, *((_WEIGHT,) if role == ASSISTANT else ()))
    # What is no answer has no loss: a weight of 0 says so.
    if field not in read and records.says_something(value):
      if field != _WEIGHT or weight:
        pass_over(f"{layout}[].{field}")
  return suite.Turn(role, text, role != ASSISTANT or weight)


def _weight(turn: Mapping[str, Any], place: str) -> bool:
  """Whether a turn is to be trained on, by its weight."""
  weight = turn.get(_WEIGHT)
  if weight is None:
    return True
  if not isinstance(weight, int | float) or weight not in (0, 1):
    raise errors.InputError(
        f'{place}: the field "{_WEIGHT}" is {reprlib.repr(weight)}; it must be'
        " 0 (the turn is not trained on) or 1."
    )
  return bool(weight)


def _system(
    row: dict[str, Any], turns: Sequence[suite.Turn], place: str
) -> list[suite.Turn]:
  """The row's system prompt, unless the turns begin with it."""
  if row.get(_SYSTEM) is None:
    return []
  prompt = suite.Turn(
      SYSTEM, records.field(row, _SYSTEM, (str,), place).strip()
  )
  if not prompt.text or turns[0] == prompt:
    return []
  if turns[0].role == SYSTEM:
    raise errors.InputError(
        f"{place}: has a system turn, and another prompt in the field"
        f' "{_SYSTEM}". Leave one of them out.'
    )
  return [prompt]


def _check(turns: Sequence[suite.Turn], place: str) -> None:
  """Questions and answers by turns, after all system turns."""
  spoken = [turn.role for turn in turns]
  while spoken[:1] == [SYSTEM]:
    spoken.pop(0)
  if len(spoken) < 2:
    raise errors.InputError(f"{place}: the conversation has no answer.")
  before = len(turns) - len(spoken)
  for number, role in enumerate(spoken):
    expected = (USER, ASSISTANT)[number % 2]
    if role != expected:
      raise errors.InputError(
          f"{place}: turn {before + number} is the {role}'s, but it is the"
          f" {expected}'s turn."
      )
  answers = [turn for turn in turns if turn.role == ASSISTANT]
  if not any(turn.is_trained for turn in answers):
    raise errors.InputError(
        f"{place}: every answer of the conversation has weight 0."
    )
