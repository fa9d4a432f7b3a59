"""Flan-mini with the split of 2406.11721.

Reads `flan_mini.json` as declare-lab/flan-mini publishes it (one array of
`id`, `source`, `conversations`) and `train_eval_key_list.json` of the paper's
released code. A task is a `source`; an example is a conversation's first
question and answer, as in the paper's section 4.
"""

import array
from collections.abc import Iterator
import json
import pathlib
from typing import Any, BinaryIO

from zsgen import config, errors
from zsgen.data import suite
from zsgen.data.sources import draws, json_rows, records

HELDOUT = "heldout"
ROWS = "flan_mini.json"
KEYS = "train_eval_key_list.json"
# The key list's name of each split.
LISTS = {suite.TRAIN: "train_key_list", HELDOUT: "eval_key_list"}


def flan_mini(data: config.Data, seed: int) -> suite.Suite:
  """Flan-mini as a suite; tasks in the key list's order.

  The file is scanned once for each pass over the examples, a row at a time,
  and the drawn rows are read again: 24 bytes of memory for each of its rows.

  Args:
    data: `path` is a directory with both files; `draw` (any of draws.DRAWS)
      takes at most `train_instances` and `heldout_instances` of each task.
    seed: draws the instances.

  Returns:
    The suite. Listed tasks without a row give no example. A drawn row that
    does not begin with a question of `human` and an answer of `gpt`, or where
    either is empty, has no targets.

  Raises:
    InputError: missing or broken files, a task in both lists, or a split none
      of whose tasks has a row.
  """
  root = pathlib.Path(data.path).expanduser()
  files = root / ROWS, root / KEYS
  for path in files:
    if not data.path or not path.is_file():
      raise errors.InputError(
          f"config.data.path: {data.path or '(empty)'!r} has no {path.name}."
          f" Give a directory with {ROWS} (declare-lab/flan-mini) and {KEYS}"
          " (the paper's released code): --config.data.path=DIRECTORY."
      )
  tasks = key_lists(files[1])
  return suite.Suite(
      name="flan_mini",
      heldout=(HELDOUT,),
      examples=lambda: _examples(files[0], tasks, data, seed),
      files=files,
      listed=tasks,
  )


def key_lists(path: pathlib.Path) -> dict[str, list[str]]:
  """The tasks of each split, in the key list's order.

  Raises:
    InputError: a list that is missing or empty, or a task named twice.
  """
  try:
    lists = json.loads(path.read_text("utf-8-sig"))
  except (OSError, ValueError, RecursionError) as error:
    raise errors.InputError(f"{path}: cannot be read ({error}).") from error
  tasks = {
      split: records.names(
          records.field(lists, name, (list,), path), f"{path}: {name}"
      )
      for split, name in LISTS.items()
  }
  records.apart(*tasks.values(), path)
  return tasks


def _examples(
    path: pathlib.Path,
    tasks: dict[str, list[str]],
    data: config.Data,
    seed: int,
) -> Iterator[suite.Example]:
  """The drawn examples, task by task."""
  rows = json_rows.JsonRows(path)
  found = _rows_by_task(rows, tasks)
  drawn = draws.draw(
      data.draw,
      tuple(
          {task: len(found[task]) for task in names} for names in tasks.values()
      ),
      (data.train_instances, data.heldout_instances),
      seed,
  )
  with open(path, "rb") as file:
    for split, names in tasks.items():
      for task in names:
        for index in drawn[task]:
          yield _example(rows, file, found[task][index], task, split)


def _rows_by_task(
    rows: json_rows.JsonRows, tasks: dict[str, list[str]]
) -> dict[str, array.array]:
  """Numbers of the rows of each listed task, in file order."""
  found = {task: array.array("q") for names in tasks.values() for task in names}
  for number, row in enumerate(rows.scan()):
    place = f"{rows.path}: row {number}"
    task = records.field(row, "source", (str,), place)
    if task in found:
      found[task].append(number)
  for split, names in tasks.items():
    if not any(found[task] for task in names):
      raise errors.InputError(
          f"{rows.path}: has no row of the {len(names)} tasks of"
          f" {LISTS[split]}, such as {names[0]}. The two files do not belong"
          " together."
      )
  return found


def _example(
    rows: json_rows.JsonRows, file: BinaryIO, number: int, task: str, split: str
) -> suite.Example:
  """One row as an example."""
  place = f"{rows.path}: row {number}"
  row = rows.read(file, number)
  turns = records.field(row, "conversations", (list,), place)[:2]
  asked, said = _exchange(turns, place)
  return suite.Example(
      task=task,
      category="",
      split=split,
      definition="",
      input=asked,
      targets=(said,) if said else (),
      key=str(row.get("id", number)),
  )


def _exchange(turns: list[Any], place: str) -> tuple[str, str]:
  """The question and the answer; both empty if it is no such exchange."""
  speakers = [records.field(turn, "from", (str,), place) for turn in turns]
  texts = [
      records.field(turn, "value", (str,), place).strip() for turn in turns
  ]
  if speakers != ["human", "gpt"] or not all(texts):
    return "", ""
  return texts[0], texts[1]
