"""Natural Instructions: a clone of allenai/natural-instructions.

Reads `tasks/*.json` and the official default split
`splits/default/{train,test}_tasks.txt`; training tasks in the split's order.
"""

from collections.abc import Iterator
import json
import pathlib

from zsgen import config, errors
from zsgen.data import suite
from zsgen.data.sources import draws, records

HELDOUT = "heldout"


def niv2(data: config.Data, seed: int) -> suite.Suite:
  """Natural Instructions as a suite.

  Args:
    data: `path` is the clone; `train_instances` and `heldout_instances` are
      drawn from each task, without replacement and in drawn order; `draw` is
      one of draws.BY_TASK.
    seed: draws the instances.

  Raises:
    InputError: a path that is not there, or a task in both lists.
  """
  root = pathlib.Path(data.path).expanduser()
  if not data.path or not (root / "tasks").is_dir():
    raise errors.InputError(
        f"config.data.path: {data.path or '(empty)'!r} has no directory"
        " tasks/. Give a clone of allenai/natural-instructions:"
        " --config.data.path=CLONE."
    )
  lists = {
      suite.TRAIN: root / "splits/default/train_tasks.txt",
      HELDOUT: root / "splits/default/test_tasks.txt",
  }
  tasks = {split: _names(path) for split, path in lists.items()}
  records.apart(*tasks.values(), lists[HELDOUT])
  caps = {suite.TRAIN: data.train_instances, HELDOUT: data.heldout_instances}
  files = {
      name: root / "tasks" / f"{name}.json"
      for names in tasks.values()
      for name in names
  }

  def examples() -> Iterator[suite.Example]:
    for split, names in tasks.items():
      for name in names:
        yield from _examples(
            files[name], name, split, data.draw, caps[split], seed
        )

  return suite.Suite(
      name="niv2",
      heldout=(HELDOUT,),
      examples=examples,
      files=(*lists.values(), *files.values()),
  )


def _names(path: pathlib.Path) -> list[str]:
  """Task names of one split, in the file's order."""
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


def _examples(
    path: pathlib.Path, name: str, split: str, draw: str, cap: int, seed: int
) -> Iterator[suite.Example]:
  """Draws at most `cap` instances of one task file."""
  task = _read(path)
  definition = records.field(task, "Definition", (list, str), path)
  instances = records.field(task, "Instances", (list,), path)
  categories = records.field(task, "Categories", (list,), path)
  if not instances:
    raise errors.InputError(f"{path}: the task has no instances.")
  for index in draws.BY_TASK[draw](name, len(instances), cap, seed):
    instance = instances[index]
    place = f"{path}: Instances[{index}]"
    yield suite.Example(
        task=name,
        category=str(categories[0]) if categories else "",
        split=split,
        definition=_text(definition, place).strip(),
        input=records.field(instance, "input", (str,), place).strip(),
        targets=_targets(
            records.field(instance, "output", (list, str), place), place
        ),
        key=str(instance.get("id", index)),
    )


def _read(path: pathlib.Path) -> dict:
  """The task file as a dictionary."""
  try:
    task = json.loads(path.read_text("utf-8-sig"))
  except OSError as error:
    raise errors.InputError(
        f"{path}: cannot be read ({error.strerror}), but the split names this"
        " task."
    ) from error
  except UnicodeDecodeError as error:
    raise errors.InputError(f"{path}: is not UTF-8 ({error}).") from error
  except json.JSONDecodeError as error:
    raise errors.InputError(
        f"{path}, line {error.lineno}: broken JSON ({error.msg}, column"
        f" {error.colno})."
    ) from error
  except (ValueError, RecursionError) as error:
    raise errors.InputError(f"{path}: broken JSON ({error}).") from error
  if not isinstance(task, dict):
    raise errors.InputError(f"{path}: must be a JSON object.")
  return task


def _text(value: object, place: object) -> str:
  """A string, or the first of a list of strings."""
  if isinstance(value, list):
    value = value[0] if value else None
  if not isinstance(value, str):
    raise errors.InputError(f"{place}: {value!r} is not text.")
  return value


def _targets(value: object, place: object) -> tuple[str, ...]:
  """All references; at least one, none empty."""
  references = value if isinstance(value, list) else [value]
  targets = tuple(_text(each, place).strip() for each in references)
  if not targets or not all(targets):
    raise errors.InputError(f'{place}: the field "output" has an empty answer.')
  return targets
