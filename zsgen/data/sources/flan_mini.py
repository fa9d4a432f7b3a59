"""Flan-mini with the split of 2406.11721.

Reads `flan_mini.json` as declare-lab/flan-mini publishes it (one array of
`id`, `source`, `conversations`) and `train_eval_key_list.json` of the paper's
released code. A task is a `source`; an example is a conversation's first
question and answer, as in the paper's section 4, or all of its turns, as in its
section 3.2.
"""

import dataclasses
import functools
import os
import pathlib
from typing import Any

from zsgen.core import errors, registry, strict_json
from zsgen.core.schema import option
from zsgen.data import suite
from zsgen.data.sources import catalog, file_reader, files, options, records

HELDOUT = "heldout"
ROWS = "flan_mini.json"
KEYS = "train_eval_key_list.json"
# The key list's name of each split.
LISTS = {suite.TRAIN: "train_key_list", HELDOUT: "eval_key_list"}


# The speakers of turns, and their roles.
_ROLES = {"human": "user", "gpt": "assistant"}


@dataclasses.dataclass(frozen=True)
class Options(options.Files):
  """The options of the source `flan_mini`."""

  # Which turns of a conversation form an example. first: the first question and
  # answer (E6 to E8); all: all of them (E1 to E5).
  turns: str = option("first", choices=("first", "all"), newer=True)
  # Whether turns are read as in the released code: as alternating questions and
  # answers, whoever speaks, including empty ones.
  as_released: bool = option(False, newer=True)


@registry.source("flan_mini", options=Options)
def flan_mini(
    data: Options, seed: int, scratch: pathlib.Path
) -> catalog.Corpus:
  """Returns Flan-mini, not scanned yet; tasks in the key list's order.

  Args:
    data: `path` is a directory with both files. With held-out sets of the
      config's own the key list may be missing: tasks come in the file's order
      then.
    seed: draws the instances.
    scratch: a directory to copy remote files to.

  Returns:
    The corpus. Listed tasks without a row give no example. A drawn row that
    does not begin with a question of `human` and an answer of `gpt`, or where
    either is empty, has no targets, unless it is read as released.

  Raises:
    InputError: missing files, or a task in both lists.
  """
  rows_path = _file(data, ROWS)
  # The key list names the tasks that there are, and their order.
  bare = data.heldout and not _path(data, KEYS).is_file()
  keys = None if bare else _file(data, KEYS)
  tasks_by_split = key_lists(keys) if keys else None
  listing = files.find(str(rows_path), scratch)
  array = [file._replace(format="array") for file in listing.files]
  reader = file_reader.FileReader(
      listing._replace(files=array),
      functools.partial(example, data=data),
      ("id", "source", "conversations"),
      "source",
      extra_files=(keys,) if keys else (),
  )
  return catalog.Corpus("flan_mini", reader, data, seed, tasks_by_split)


def _path(data: options.Files, name: str) -> pathlib.Path:
  """Returns the path of a file of the data set's directory."""
  return pathlib.Path(os.path.expanduser(data.path)) / name


def _file(data: options.Files, name: str) -> pathlib.Path:
  """Returns the path of a file that must exist."""
  path = _path(data, name)
  if not data.path or not path.is_file():
    raise errors.InputError(
        f"config.data.path: {data.path or '(empty)'!r} has no {name}. Give a"
        f" directory with {ROWS} (declare-lab/flan-mini) and {KEYS} (the"
        " paper's released code): --config.data.path=DIRECTORY."
    )
  return path


def key_lists(path: pathlib.Path) -> dict[str, list[str]]:
  """Returns the tasks of each split, in the key list's order.

  Raises:
    InputError: a list that is missing or empty, or a task named twice.
  """
  lists = strict_json.read(path)
  tasks = {
      split: records.names(
          records.field(lists, name, (list,), path), f"{path}: {name}"
      )
      for split, name in LISTS.items()
  }
  records.check_disjoint(tasks, path)
  return tasks


def example(
    row: Any, origin: file_reader.Origin, data: Options
) -> suite.Example:
  """Converts a conversation into an example.

  Its `input` and `targets` are the first question and answer. If all turns are
  used, or read as released, it has `turns` too.

  Raises:
    InputError: a field is missing or of another type.
  """
  task = records.field(row, "source", (str,), origin.location)
  turns = records.field(row, "conversations", (list,), origin.location)
  if data.turns == "first" and turns[2:]:
    origin.pass_over("conversations[2:]")
    turns = turns[:2]
  said = _conversation(turns, origin.location, data.as_released)
  question, answer = (turn.text for turn in said[:2]) if said else ("", "")
  return suite.Example(
      task=task,
      category="",
      split="",
      definition="",
      input=question,
      targets=(answer,) if said else (),
      key=records.key(row, "id", origin.location, origin.number),
      turns=said if data.turns == "all" or data.as_released else (),
  )


def _conversation(
    turns: list[Any], location: str, as_released: bool
) -> tuple[suite.Turn, ...]:
  """Returns questions and answers in turn; () if these are none.

  A question without an answer at the end is left out.
  """
  speakers = [records.field(turn, "from", (str,), location) for turn in turns]
  texts = [
      records.field(turn, "value", (str,), location).strip() for turn in turns
  ]
  size = len(turns) // 2 * 2
  wanted = [*_ROLES] * (size // 2)
  is_regular = speakers[:size] == wanted and all(texts[:size])
  if not (is_regular or as_released):
    return ()
  roles = map(_ROLES.__getitem__, wanted)
  return tuple(map(suite.Turn, roles, texts))
