"""Subtracts held-out sets: `config.data.heldout.NAME.exclude`."""

from collections.abc import Mapping

from zsgen.core import config, errors

_WHERE = "config.data.heldout"


def subtract(
    named: Mapping[str, dict[str, None]], sets: Mapping[str, config.Heldout]
) -> dict[str, dict[str, None]]:
  """Removes from each set the tasks of the sets that it excludes.

  An excluded set counts without the tasks that it excludes itself. So if two
  sets name a task and one excludes the other, the task is in the other one.

  Args:
    named: the tasks named by the fields of each set.
    sets: `config.data.heldout`.

  Returns:
    The tasks of each set, in the order of `named`.

  Raises:
    InputError: `exclude` names an unknown set, a set that names no task, or a
      set that excludes this one; or a set has no task left.
  """
  done: dict[str, dict[str, None]] = {}
  for name in named:
    _subtract(name, named, sets, done, ())
  return {name: done[name] for name in named}


def _subtract(
    name: str,
    named: Mapping[str, dict[str, None]],
    sets: Mapping[str, config.Heldout],
    done: dict[str, dict[str, None]],
    waiting: tuple[str, ...],
) -> None:
  """Adds the tasks of a set to `done`, after those of sets it excludes."""
  if name in waiting:
    circle = " excludes ".join([*waiting[waiting.index(name) :], name])
    raise errors.InputError(
        f"{_WHERE}: {circle}, so no set would have the tasks that they share."
        " Remove one of them from exclude."
    )
  if name in done:
    return
  members = dict(named[name])
  for other in sets[name].exclude:
    where = f"{_WHERE}.{name}.exclude"
    if other not in sets:
      raise errors.InputError(
          f"{where}: there is no held-out set {other!r}."
          f"{errors.did_you_mean(other, sets)} There are:"
          f" {', '.join(sorted(sets))}."
      )
    if not named[other] or not named[name]:
      share = name if named[other] else other
      raise errors.InputError(
          f"{where}: {share} names no task. Its share is drawn from tasks that"
          " no set names, so there is nothing to exclude. Remove it."
      )
    _subtract(other, named, sets, done, (*waiting, name))
    for task in done[other]:
      members.pop(task, None)
  if named[name] and not members and not sets[name].share:
    raise errors.InputError(
        f"{_WHERE}.{name}: no task is left after excluding those of"
        f" {', '.join(sets[name].exclude)}."
    )
  done[name] = members
