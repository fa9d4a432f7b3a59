"""Held-out sets without the tasks of others: `config.data.heldout.NAME.exclude`."""

from collections.abc import Mapping

from zsgen import config, errors

_WHERE = "config.data.heldout"


def subtract(
    named: Mapping[str, dict[str, None]], sets: Mapping[str, config.Heldout]
) -> dict[str, dict[str, None]]:
  """Takes from each set the tasks of those that it excludes.

  A set that is excluded counts as it is in the end, without what it excludes
  itself. So each task that two sets name, one of which excludes the other, is
  in the other one.

  Args:
    named: the tasks that the fields of each set name.
    sets: `config.data.heldout`.

  Returns:
    The tasks of each set, in the order of `named`.

  Raises:
    InputError: `exclude` names no set, one that names no task, or a set that
      excludes this one; or nothing is left of a set.
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
  """Puts the tasks of a set into `done`, after those of what it excludes."""
  if name in waiting:
    circle = " excludes ".join([*waiting[waiting.index(name) :], name])
    raise errors.InputError(
        f"{_WHERE}: {circle}; then no set would have the tasks that they share."
        " Take one of them out of exclude."
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
          f"{where}: {share} names no task; shares are drawn of the tasks that"
          " no set names, so that there is nothing to exclude. Leave it out."
      )
    _subtract(other, named, sets, done, (*waiting, name))
    for task in done[other]:
      members.pop(task, None)
  if named[name] and not members and not sets[name].share:
    raise errors.InputError(
        f"{_WHERE}.{name}: has no task left without those of"
        f" {', '.join(sets[name].exclude)} (exclude)."
    )
  done[name] = members
