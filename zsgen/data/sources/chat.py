"""Conversations: ShareGPT, and OpenAI's messages (NoRobots, UltraChat).

A row has `conversations` or `items` of `from` and `value`, or `messages` of
`role` and `content`. After system turns come the user's and the assistant's,
by turns. What the user says last, without an answer, is cut off (as in
2406.11721, released code). A bad row is a conversation with an empty turn, an
unknown speaker, two turns of one speaker in sequence, one that begins with
the assistant, or one that has no answer.
"""

from collections.abc import Sequence
import pathlib
from typing import Any

from zsgen import config, errors
from zsgen.data import suite
from zsgen.data.sources import catalog, files, records, rows

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
_KEYS = ("id", "prompt_id", "conversation_id")


def chat(data: config.Data, seed: int, scratch: pathlib.Path) -> suite.Suite:
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
  found = files.find(data.path, scratch)
  fields = data.fields
  columns = [
      *_LAYOUTS,
      *_KEYS,
      fields.task,
      fields.category,
      fields.split,
      fields.key,
  ]
  made = rows.Rows(
      found, lambda row, origin: example(row, origin, fields), scratch, columns
  )
  known = catalog.scan(made, data.on_bad_row, unlabelled=TASK)
  return catalog.suite("chat", known, data, seed)


def example(
    row: Any, origin: rows.Origin, fields: config.Fields
) -> suite.Example:
  """A conversation as an example.

  Returns:
    All `turns`, stripped; `definition`, `input` and `targets` are the system
    turns, the first question and the first answer.

  Raises:
    InputError: the row cannot be used; see above.
  """
  turns = _turns(row, origin.place)
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


def _key(row: dict[str, Any], origin: rows.Origin, name: str) -> str:
  """The conversation's id; its number if it has none."""
  names = (name,) if name else _KEYS
  named = next((each for each in names if row.get(each) is not None), name)
  return records.key(row, named, origin.place) if named else origin.key


def _turns(row: Any, place: str) -> tuple[suite.Turn, ...]:
  """The turns up to the last answer."""
  known = isinstance(row, dict)
  layout = next((n for n in _LAYOUTS if known and row.get(n) is not None), "")
  if known and not layout:
    raise errors.InputError(
        f"{place}: has none of the fields {', '.join(_LAYOUTS)}."
    )
  listed = records.field(row, layout, (list,), place)
  turns = [
      _turn(turn, *_LAYOUTS[layout], f"{place}: turn {number}")
      for number, turn in enumerate(listed)
  ]
  if turns and turns[-1].role == USER:
    turns.pop()
  _check(turns, place)
  return tuple(turns)


def _turn(turn: Any, speaker: str, said: str, place: str) -> suite.Turn:
  """One turn."""
  role = records.field(turn, speaker, (str,), place)
  if role.lower() not in _ROLES:
    raise errors.InputError(
        f"{place}: the speaker {role!r} is not known. There are:"
        f" {', '.join(_ROLES)}."
    )
  return suite.Turn(
      _ROLES[role.lower()], records.text(turn, said, place).strip()
  )


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
