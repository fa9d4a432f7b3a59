"""Flan-mini with the split of 2406.11721.

Reads `flan_mini.json` as declare-lab/flan-mini publishes it (one array of
`id`, `source`, `conversations`) and `train_eval_key_list.json` of the paper's
released code. A task is a `source`; an example is a conversation's first
question and answer, as in the paper's section 4.
"""

import os
import pathlib
from typing import Any

from zsgen.core import errors, registry, strict_json
from zsgen.data import suite
from zsgen.data.sources import catalog, file_reader, files, options, records

HELDOUT = "heldout"
ROWS = "flan_mini.json"
KEYS = "train_eval_key_list.json"
# The key list's name of each split.
LISTS = {suite.TRAIN: "train_key_list", HELDOUT: "eval_key_list"}


@registry.source("flan_mini", options=options.Files)
def flan_mini(
    data: options.Files, seed: int, scratch: pathlib.Path
) -> suite.Suite:
  """Returns Flan-mini as a suite; tasks in the key list's order.

  Args:
    data: `path` is a directory with both files. With held-out sets of the
      config's own the key list may be missing: tasks come in the file's order
      then.
    seed: draws the instances.
    scratch: a directory to copy remote files to.

  Returns:
    The suite. Listed tasks without a row give no example. A drawn row that
    does not begin with a question of `human` and an answer of `gpt`, or where
    either is empty, has no targets.

  Raises:
    InputError: missing or broken files, bad rows, a task in both lists, or a
      split none of whose tasks has a row.
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
      example,
      ("id", "source", "conversations"),
      "source",
      extra_files=(keys,) if keys else (),
  )
  return catalog.suite("flan_mini", reader, data, seed, scratch, tasks_by_split)


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


def example(row: Any, origin: file_reader.Origin) -> suite.Example:
  """Converts a conversation's first exchange into an example.

  Raises:
    InputError: a field is missing or of another type.
  """
  task = records.field(row, "source", (str,), origin.location)
  turns = records.field(row, "conversations", (list,), origin.location)
  if turns[2:]:
    origin.pass_over("conversations[2:]")
  question, answer = _exchange(turns[:2], origin.location)
  return suite.Example(
      task=task,
      category="",
      split="",
      definition="",
      input=question,
      targets=(answer,) if answer else (),
      key=records.key(row, "id", origin.location, origin.number),
  )


def _exchange(turns: list[Any], location: str) -> tuple[str, str]:
  """Returns question and answer; both empty if it is no such exchange."""
  speakers = [records.field(turn, "from", (str,), location) for turn in turns]
  texts = [
      records.field(turn, "value", (str,), location).strip() for turn in turns
  ]
  if speakers != ["human", "gpt"] or not all(texts):
    return "", ""
  return texts[0], texts[1]
