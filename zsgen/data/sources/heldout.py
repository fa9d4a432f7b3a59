"""Holds tasks out: by name, list, category, own split or share.

`config.data.heldout` names sets; every task that is in none of them is
trained on. Without any, the source's own splits are taken.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
import os
import pathlib

from zsgen.core import config, errors
from zsgen.data import suite
from zsgen.data.sources import groups, records
from zsgen.data.sources import shares as shares_lib

_OPTION = "config.data.heldout"
_HINT = (
    f"Set one in the config, such as {_OPTION} ="
    " {'heldout': {'share': 0.1}} (or tasks, tasks_file, categories, split)."
)
# The most names that a message lists.
_MAX_NAMES = 20

_Tasks = Mapping[str, groups.Task]


def split(
    tasks: _Tasks,
    sets: Mapping[str, config.Heldout],
    seed: int,
    unlabelled: str,
    source: str,
    explain_absence: Callable[[str], str] = lambda task: "",
) -> dict[str, dict[str, groups.Task]]:
  """Puts every task in a split.

  Args:
    tasks: of the source, in its order.
    sets: `config.data.heldout`.
    seed: draws shares of sets without a seed: a task's rank depends on the
      seed and its name only.
    unlabelled: the task whose rows name none. If only that is left, a share
      is one of its rows, drawn by the seed; they become the task
      `<task>.<set>`.
    source: its name, for messages.
    explain_absence: returns why a task may be missing.

  Returns:
    The tasks of "train", then of each held-out set (sets by name, or the
    source's own in its order), each in the source's order.

  Raises:
    InputError: an unknown task, category or split; a task in two sets; a set
      without a task; no training task left; no held-out set at all; or see
      `_subtract_sets`.
  """
  if sets:
    split_of = _named_splits(tasks, sets, explain_absence)
  else:
    split_of = _own_splits(tasks, source)
  splits: dict[str, dict[str, groups.Task]] = {suite.TRAIN: {}}
  splits |= {name: {} for name in sorted(sets)}
  for task, name in split_of.items():
    splits.setdefault(name, {})[task] = tasks[task]
  if sets:
    # Tasks that the publisher holds out are not trained on, even if unnamed.
    splits[suite.TRAIN] = {
        name: task
        for name, task in tasks.items()
        if name not in split_of and task.split in ("", suite.TRAIN)
    }
    shares_lib.move(splits, sets, seed, unlabelled)
  for name, members in splits.items():
    if not members:
      raise errors.InputError(_describe_empty(name, sets, tasks, source))
    splits[name] = {task: members[task] for task in _ordered(members, tasks)}
  return splits


def files(sets: Mapping[str, config.Heldout]) -> tuple[pathlib.Path, ...]:
  """Returns the files that list tasks of the sets."""
  paths = (sets[name].tasks_file for name in sorted(sets))
  return tuple(pathlib.Path(os.path.expanduser(path)) for path in paths if path)


def seeds(sets: Mapping[str, config.Heldout]) -> dict[str, int]:
  """Returns the seeds of the sets that have one of their own."""
  return {
      name: heldout.seed
      for name, heldout in sets.items()
      if heldout.seed is not None
  }


def _ordered(members: _Tasks, tasks: _Tasks) -> list[str]:
  """Returns the members in the source's order; new ones at the end."""
  ordered = [task for task in tasks if task in members]
  return ordered + [task for task in members if task not in tasks]


def _describe_empty(
    name: str, sets: Mapping, tasks: _Tasks, source: str
) -> str:
  """Returns the message on a split without a task."""
  if name == suite.TRAIN:
    other_splits = sorted(
        {task.split for task in tasks.values()} - {"", suite.TRAIN}
    )
    return (
        f"{_OPTION}: no task of {source} is left to train on. Hold out less."
        + (
            f" The tasks that are not held out belong to the splits"
            f" {', '.join(other_splits)} of the data, which are never trained"
            " on."
            if other_splits
            else ""
        )
        if sets
        else f"the source {source} has no training task of its own. {_HINT}"
    )
  return f"{_OPTION}.{name} has no task. Name tasks, or set a share."


def _own_splits(tasks: _Tasks, source: str) -> dict[str, str]:
  """Returns the source's own split of each task that has one."""
  split_of = {name: task.split for name, task in tasks.items() if task.split}
  if not set(split_of.values()) - {suite.TRAIN}:
    raise errors.InputError(
        f"the source {source} has no held-out tasks of its own. {_HINT}"
    )
  return split_of


def _named_splits(
    tasks: _Tasks,
    sets: Mapping[str, config.Heldout],
    explain_absence: Callable[[str], str],
) -> dict[str, str]:
  """Returns the set of each task that a set names."""
  named_tasks = {}
  for name in sorted(sets):
    if not name or name == suite.TRAIN:
      raise errors.InputError(
          f"{_OPTION}: {name!r} cannot name a held-out set."
      )
    named_tasks[name] = _members(
        tasks, sets[name], f"{_OPTION}.{name}", explain_absence
    )
  set_of: dict[str, str] = {}
  for name, members in _subtract_sets(named_tasks, sets).items():
    for task in members:
      if set_of.setdefault(task, name) != name:
        raise errors.InputError(
            f"{_OPTION}: task {task} is in {set_of[task]} and in {name}; a task"
            f" is in one split only. Take the tasks of one set out of the"
            f" other: {name} = {{…, 'exclude': ({set_of[task]!r},)}}."
        )
  return set_of


def _members(
    tasks: _Tasks,
    heldout: config.Heldout,
    option: str,
    explain_absence: Callable[[str], str],
) -> dict[str, None]:
  """Returns the tasks that a set names, in the source's order."""

  def check(
      names: Iterable[str], known: Collection[str], kind: str, location: str
  ) -> set[str]:
    """Returns the names as a set; raises InputError if one is unknown."""
    _check_known(names, known, kind, location, explain_absence)
    return set(names)

  selected = check(heldout.tasks, tasks, "task", f"{option}.tasks")
  if path := heldout.tasks_file:
    file_names = _read_names(pathlib.Path(os.path.expanduser(path)))
    selected |= check(file_names, tasks, "task", path)
  known = {task.category for task in tasks.values()}
  categories = check(
      heldout.categories, known, "category", f"{option}.categories"
  )
  known = {task.split for task in tasks.values()}
  split_names = [heldout.split] if heldout.split else []
  splits = check(split_names, known, "split", f"{option}.split")
  return {
      name: None
      for name, task in tasks.items()
      if name in selected or task.category in categories or task.split in splits
  }


def _check_known(
    names: Iterable[str],
    known: Collection[str],
    kind: str,
    location: str,
    explain_absence: Callable[[str], str],
) -> None:
  """Raises InputError if the source does not have all of the names."""
  for name in names:
    if name not in known:
      raise errors.InputError(
          f"{location}: the source has no {kind} {name!r}."
          f"{errors.did_you_mean(name, known)}{_list_known(kind, known)}"
          f"{explain_absence(name if kind == 'task' else '')}"
      )


def _list_known(kind: str, known: Collection[str]) -> str:
  """Returns a sentence on the splits or categories; tasks are many."""
  labels = sorted(filter(None, known))
  if kind == "task":
    return ""
  text = ", ".join(labels[:_MAX_NAMES]) + ", …" * (len(labels) > _MAX_NAMES)
  if not text:
    return " It has none of its own: name tasks, or set a share."
  return f" It has: {text}."


def _read_names(path: pathlib.Path) -> list[str]:
  """Returns the names in a file, one a line."""
  try:
    # Not splitlines(): names may hold other separators, such as U+2028.
    lines = path.read_text("utf-8-sig").split("\n")
  except (OSError, ValueError) as error:
    raise errors.InputError(f"{path}: cannot be read ({error}).") from error
  return records.names([line.strip() for line in lines if line.strip()], path)


def _subtract_sets(
    named_tasks: Mapping[str, dict[str, None]],
    sets: Mapping[str, config.Heldout],
) -> dict[str, dict[str, None]]:
  """Removes from each set the tasks of the sets that it excludes.

  An excluded set counts without the tasks that it excludes itself. So if two
  sets name a task and one excludes the other, the task is in the other one.

  Args:
    named_tasks: the tasks named by the fields of each set.
    sets: `config.data.heldout`.

  Returns:
    The tasks of each set, in the order of `named_tasks`.

  Raises:
    InputError: `exclude` names an unknown set, a set that names no task, or a
      set that excludes this one; or a set has no task left.
  """
  remaining: dict[str, dict[str, None]] = {}
  for name in named_tasks:
    _subtract(name, named_tasks, sets, remaining, ())
  return {name: remaining[name] for name in named_tasks}


def _subtract(
    name: str,
    named_tasks: Mapping[str, dict[str, None]],
    sets: Mapping[str, config.Heldout],
    remaining: dict[str, dict[str, None]],
    waiting: tuple[str, ...],
) -> None:
  """Adds the tasks of a set to `remaining`, after those of sets it excludes."""
  if name in waiting:
    circle = " excludes ".join([*waiting[waiting.index(name) :], name])
    raise errors.InputError(
        f"{_OPTION}: {circle}, so no set would have the tasks that they share."
        " Remove one of them from exclude."
    )
  if name in remaining:
    return
  members = dict(named_tasks[name])
  for excluded in sets[name].exclude:
    option = f"{_OPTION}.{name}.exclude"
    if excluded not in sets:
      raise errors.InputError(
          f"{option}: there is no held-out set {excluded!r}."
          f"{errors.did_you_mean(excluded, sets)} There are:"
          f" {', '.join(sorted(sets))}."
      )
    if not named_tasks[excluded] or not named_tasks[name]:
      share = name if named_tasks[excluded] else excluded
      raise errors.InputError(
          f"{option}: {share} names no task. Its share is drawn from tasks that"
          " no set names, so there is nothing to exclude. Remove it."
      )
    _subtract(excluded, named_tasks, sets, remaining, (*waiting, name))
    for task in remaining[excluded]:
      members.pop(task, None)
  if named_tasks[name] and not members and not sets[name].share:
    raise errors.InputError(
        f"{_OPTION}.{name}: no task is left after excluding those of"
        f" {', '.join(sets[name].exclude)}."
    )
  remaining[name] = members
