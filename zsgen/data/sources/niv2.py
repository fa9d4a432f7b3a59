"""Natural Instructions: a clone of allenai/natural-instructions.

Reads `tasks/*.json` and an official split, `splits/default` or
`splits/xlingual` (`config.data.track`): `train_tasks.txt` and
`test_tasks.txt`; tasks in the split's order.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import os
import pathlib
from typing import Any, NamedTuple

from zsgen.core import errors, registry, strict_json
from zsgen.core.schema import option
from zsgen.data import suite
from zsgen.data.sources import bad_rows, catalog, items, options, records

HELDOUT = "heldout"
# The fields of a task's solved examples, and whether they are to be followed.
_SHOTS = {"Positive Examples": True, "Negative Examples": False}


@dataclasses.dataclass(frozen=True)
class Options(options.Files):
  """The options of `niv2`."""

  # The official split to use.
  track: str = option("default", choices=("default", "xlingual"))


@registry.source("niv2", options=Options)
def niv2(data: Options, seed: int, scratch: pathlib.Path) -> catalog.Corpus:
  """Returns Natural Instructions, not scanned yet.

  Args:
    data: `path` is the clone, `track` the official split. Examples have all
      references as targets and the task's positive and negative examples as
      shots, in the file's order.
    seed: draws the instances.
    scratch: is not used.

  Returns:
    The corpus. A task file that cannot be used counts as one bad row.

  Raises:
    InputError: a path that does not exist, or a task in both lists.
  """
  del scratch
  root = pathlib.Path(os.path.expanduser(data.path))
  if not data.path or not (root / "tasks").is_dir():
    raise errors.InputError(
        f"config.data.path: {data.path or '(empty)'!r} has no directory"
        " tasks/. Give a clone of allenai/natural-instructions:"
        " --config.data.path=CLONE."
    )
  lists = {
      suite.TRAIN: root / "splits" / data.track / "train_tasks.txt",
      HELDOUT: root / "splits" / data.track / "test_tasks.txt",
  }
  tasks = {split: _names(path) for split, path in lists.items()}
  records.check_disjoint(tasks, lists[HELDOUT])
  clone = _Clone(root, tuple(lists.values()), sum(tasks.values(), []))
  return catalog.Corpus("niv2", clone, data, seed, tasks)


def _names(path: pathlib.Path) -> list[str]:
  """Returns the task names of one split, in the file's order."""
  try:
    names = path.read_text("utf-8-sig").split()
  except UnicodeDecodeError as error:
    raise errors.InputError(f"{path}: is not UTF-8 ({error}).") from error
  except OSError as error:
    raise errors.InputError(
        f"{path}: cannot be read ({error.strerror}). A clone of"
        " allenai/natural-instructions has it."
    ) from error
  records.names(names, path)
  for name in names:
    if pathlib.PurePath(name).name != name:
      raise errors.InputError(f"{path}: {name!r} is no task name.")
  return names


class _Card(NamedTuple):
  """A task file."""

  category: str
  definition: str
  shots: tuple[suite.Shot, ...]
  instances: list[Any]


class _Clone:
  """Reads the instances of all listed tasks; see `parts.Reader`."""

  def __init__(
      self,
      root: pathlib.Path,
      lists: Sequence[pathlib.Path],
      names: Sequence[str],
  ):
    self._names = names
    paths = [root / "tasks" / f"{name}.json" for name in names]
    self.files = (*lists, *paths)
    self._before = len(lists)

  def file_items(self) -> list[items.Item]:
    """Returns an item for each task."""
    files = range(self._before, len(self.files))
    return [items.Item(number) for number in files]

  work_items = file_items

  def read(
      self, item: items.Item, pass_over: Callable[..., None]
  ) -> Iterator[suite.Example | errors.InputError]:
    """Yields every instance of a task, or what is wrong with it or the task.

    Fields that are not read are not counted: `pass_over` is not called.
    """
    del pass_over
    name, path = self._names[item.file - self._before], self.files[item.file]
    try:
      card = _card(path)
    except errors.InputError as error:
      yield bad_rows.BadRow(str(error), name)
      return
    for index in range(len(card.instances)):
      try:
        yield _example(name, path, card, index)
      except errors.InputError as error:
        yield bad_rows.BadRow(str(error), name)

  def locate(self, item: items.Item, offset: int) -> str:
    """Returns the file and the index of an instance."""
    return f"{self.files[item.file]}: Instances[{offset}]"

  def notes(self, unread_fields: Mapping[str, int]) -> dict[str, Any]:
    """Returns nothing: only tasks that the split does not name are unread."""
    del unread_fields
    return {}


def _example(
    name: str, path: pathlib.Path, card: _Card, index: int
) -> suite.Example:
  """Returns an instance of a task as an example.

  Raises:
    InputError: the instance cannot be used.
  """
  instance = card.instances[index]
  location = f"{path}: Instances[{index}]"
  example = suite.Example(
      task=name,
      category=card.category,
      split="",
      definition=card.definition,
      input=records.field(instance, "input", (str,), location).strip(),
      targets=tuple(
          answer.strip()
          for answer in records.texts(instance, "output", location)
      ),
      key=records.key(instance, "id", location, index),
      shots=card.shots,
  )
  if not example.input and not example.definition:
    raise errors.InputError(f"{location}: definition and input are empty.")
  records.check_texts(example, location)
  return example


def _card(path: pathlib.Path) -> _Card:
  """Reads a task file.

  Raises:
    InputError: it is missing or broken, lacks a field, or has no instance.
  """
  task = _read(path)
  definition = records.field(task, "Definition", (list, str), path)
  instances = records.field(task, "Instances", (list,), path)
  categories = records.field(task, "Categories", (list,), path)
  if not instances:
    raise errors.InputError(f"{path}: the task has no instances.")
  return _Card(
      category=str(categories[0]) if categories else "",
      definition=_text(definition, path).strip(),
      shots=tuple(_shots(task, path)),
      instances=instances,
  )


def _shots(task: Mapping[str, Any], path: pathlib.Path) -> Iterator[suite.Shot]:
  """Yields the task's solved examples, positive ones first."""
  for name, positive in _SHOTS.items():
    # Publishers may leave them out.
    solved = records.field({name: [], **task}, name, (list,), path)
    for index, shot in enumerate(solved):
      location = f"{path}: {name}[{index}]"
      yield suite.Shot(
          input=records.field(shot, "input", (str,), location),
          output=_text(
              records.field(shot, "output", (list, str), location), location
          ),
          explanation=records.field(
              {"explanation": "", **shot}, "explanation", (str,), location
          ),
          positive=positive,
      )


def _read(path: pathlib.Path) -> dict:
  """Returns the task file as a dictionary."""
  if not path.is_file():
    raise errors.InputError(
        f"{path}: is not there, but the split names this task."
    )
  task = strict_json.read(path)
  if not isinstance(task, dict):
    raise errors.InputError(f"{path}: must be a JSON object.")
  return task


def _text(value: object, location: object) -> str:
  """Returns a string, or the first of a list of strings; "" if empty."""
  if isinstance(value, list):
    value = value[0] if value else ""
  if not isinstance(value, str):
    raise errors.InputError(f"{location}: {value!r} is not text.")
  return value
