"""Conversations: ShareGPT, and OpenAI's messages (NoRobots, UltraChat).

A row has `conversations` or `items` of `from` and `value`, or `messages` of
`role` and `content`; perhaps a `system` prompt. After system turns come the
user's and the assistant's, in alternation. An answer with `"weight": 0` is not
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

  def check(self, section: str) -> None:
    """Raises InputError for fields that conversations do not have."""
    super().check(section)
    for field in dataclasses.fields(self.fields):
      value = getattr(self.fields, field.name)
      if field.name not in _FIELDS and value != field.default:
        raise errors.InputError(
            f"{section}.fields.{field.name} is {value!r}, but the source chat"
            f" reads only the fields {', '.join(_FIELDS)}. Leave it out."
        )


@registry.source("chat", options=Options)
def chat(data: Options, seed: int, scratch: pathlib.Path) -> catalog.Corpus:
  """Returns conversations, not scanned yet.

  Args:
    data: `path` names the files. `fields.task`, `category`, `split` and `key`
      name fields of a conversation, where it has them; without a task it is
      of the task "chat", and a held-out share is a share of conversations.
    seed: draws the instances and shares.
    scratch: a directory for copies of files that cannot be read in place.

  Raises:
    InputError: no such file.
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
  return catalog.Corpus("chat", reader, data, seed, unlabelled=TASK)


def example(
    row: Any, origin: file_reader.Origin, fields: config.Fields
) -> suite.Example:
  """Converts a conversation into an example.

  Returns:
    All `turns`, stripped; `definition`, `input` and `targets` are the system
    turns, the first question and the first answer.

  Raises:
    InputError: the row cannot be used; see above.
  """
  turns = _turns(row, origin)
  spoken = [turn.text for turn in turns if turn.role != SYSTEM]
  return suite.Example(
      task=_label(row, fields.task, origin.location) or TASK,
      category=_label(row, fields.category, origin.location),
      split=_label(row, fields.split, origin.location) or origin.file.split,
      definition="\n".join(t.text for t in turns if t.role == SYSTEM),
      input=spoken[0],
      targets=(spoken[1],),
      key=_key(row, origin, fields.key),
      turns=turns,
  )


def _label(row: dict[str, Any], name: str, location: str) -> str:
  """Returns a field that a conversation may have; "" if it has none."""
  has_field = name and row.get(name) is not None
  return records.text(row, name, location) if has_field else ""


def _key(row: dict[str, Any], origin: file_reader.Origin, name: str) -> str:
  """Returns the conversation's id; its number if it has none."""
  names = (name,) if name else _KEYS
  field = next(
      (candidate for candidate in names if row.get(candidate) is not None), name
  )
  return records.key(row, field, origin.location) if field else origin.key


def _turns(row: Any, origin: file_reader.Origin) -> tuple[suite.Turn, ...]:
  """Returns the turns up to the last answer that is trained on.

  The system prompt of the row comes first.
  """
  known = isinstance(row, dict)
  location = origin.location
  layout = next((n for n in _LAYOUTS if known and row.get(n) is not None), "")
  if known and not layout:
    raise errors.InputError(
        f"{location}: has none of the fields {', '.join(_LAYOUTS)}."
    )
  raw_turns = records.field(row, layout, (list,), location)
  turns = [
      _turn(turn, layout, f"{location}: turn {number}", origin.pass_over)
      for number, turn in enumerate(raw_turns)
  ]
  if turns and turns[-1].role == USER:
    turns.pop()
  _check(turns, location)
  while not (turns[-1].role == ASSISTANT and turns[-1].is_trained):
    turns.pop()
  return (*_system(row, turns, location), *turns)


def _turn(
    turn: Any, layout: str, location: str, pass_over: Callable[[str], None]
) -> suite.Turn:
  """Converts one turn."""
  speaker, text_field = _LAYOUTS[layout]
  name = records.field(turn, speaker, (str,), location)
  if name.lower() not in _ROLES:
    raise errors.InputError(
        f"{location}: the speaker {name!r} is not known. There are:"
        f" {', '.join(_ROLES)}."
    )
  role = _ROLES[name.lower()]
  text = records.text(turn, text_field, location).strip()
  weight = _weight(turn, location)
  for field, value in turn.items():
    read = (speaker, text_field, *((_WEIGHT,) if role == ASSISTANT else ()))
    # What is no answer has no loss: a weight of 0 says so.
    if field not in read and records.has_content(value):
      if field != _WEIGHT or weight:
        pass_over(f"{layout}[].{field}")
  return suite.Turn(role, text, role != ASSISTANT or weight)


def _weight(turn: Mapping[str, Any], location: str) -> bool:
  """Returns whether a turn is to be trained on, by its weight."""
  weight = turn.get(_WEIGHT)
  if weight is None:
    return True
  if not isinstance(weight, int | float) or weight not in (0, 1):
    raise errors.InputError(
        f'{location}: the field "{_WEIGHT}" is {reprlib.repr(weight)}; it must'
        " be 0 (the turn is not trained on) or 1."
    )
  return bool(weight)


def _system(
    row: dict[str, Any], turns: Sequence[suite.Turn], location: str
) -> list[suite.Turn]:
  """Returns the row's system prompt, unless the turns begin with it."""
  if row.get(_SYSTEM) is None:
    return []
  prompt = suite.Turn(
      SYSTEM, records.field(row, _SYSTEM, (str,), location).strip()
  )
  if not prompt.text or turns[0] == prompt:
    return []
  if turns[0].role == SYSTEM:
    raise errors.InputError(
        f"{location}: has a system turn, and another prompt in the field"
        f' "{_SYSTEM}". Leave one of them out.'
    )
  return [prompt]


def _check(turns: Sequence[suite.Turn], location: str) -> None:
  """Checks that questions and answers alternate after all system turns."""
  spoken = [turn.role for turn in turns]
  while spoken[:1] == [SYSTEM]:
    spoken.pop(0)
  if len(spoken) < 2:
    raise errors.InputError(f"{location}: the conversation has no answer.")
  before = len(turns) - len(spoken)
  for number, role in enumerate(spoken):
    expected = (USER, ASSISTANT)[number % 2]
    if role != expected:
      raise errors.InputError(
          f"{location}: turn {before + number} is the {role}'s, but it is the"
          f" {expected}'s turn."
      )
  answers = [turn for turn in turns if turn.role == ASSISTANT]
  if not any(turn.is_trained for turn in answers):
    raise errors.InputError(
        f"{location}: every answer of the conversation has weight 0."
    )
