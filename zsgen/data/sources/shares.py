"""Holds out shares of the training tasks."""

from collections.abc import Callable, Mapping
import zlib

import numpy as np

from zsgen.core import config
from zsgen.data import suite
from zsgen.data.sources import groups


def move(
    splits: dict[str, dict[str, groups.Task]],
    sets: Mapping[str, config.Heldout],
    seed: int,
    unlabelled: str,
) -> None:
  """Moves shares of the training tasks to held-out sets.

  Sets with a seed of their own are drawn first, so that neither `seed` nor
  the shares of other sets change them.

  Args:
    splits: the tasks of each split; changed in place.
    sets: `config.data.heldout`; those without a share take nothing.
    seed: draws the shares of sets that have no seed.
    unlabelled: the task whose rows name none: if it is the only one, its rows
      are shared out, and become the task `<task>.<set>` in each set.
  """
  sets = {name: sets[name] for name in sorted(sets) if sets[name].share}
  left = splits[suite.TRAIN]
  if sets and list(left) == [unlabelled]:
    _move_rows(splits, sets, seed, unlabelled)
    return
  tasks = list(left)

  def rank(seed: int) -> np.ndarray:
    """Returns the indices of the tasks in the sequence of a seed, int64."""
    keys = [(_rank(seed, task), task) for task in tasks]
    return np.array(sorted(range(len(tasks)), key=keys.__getitem__), np.int64)

  for name, indices in _draw(len(tasks), sets, seed, rank).items():
    splits[name] |= {tasks[i]: left.pop(tasks[i]) for i in indices.tolist()}


def _move_rows(
    splits: dict[str, dict[str, groups.Task]],
    sets: Mapping[str, config.Heldout],
    seed: int,
    task: str,
) -> None:
  """Moves shares of the rows of the one task, which names none."""
  full_task = splits[suite.TRAIN][task]
  salt = zlib.crc32(f"share of {task}".encode())

  def rank(seed: int) -> np.ndarray:
    """Returns the indices of the rows in the sequence of a seed, int64."""
    return np.random.default_rng([seed, salt]).permutation(len(full_task.rows))

  is_left = np.ones(len(full_task.rows), bool)
  for name, indices in _draw(len(full_task.rows), sets, seed, rank).items():
    part = full_task._replace(rows=np.sort(full_task.rows[indices]))
    splits[name][f"{task}.{name}"] = part
    is_left[indices] = False
  rest = full_task._replace(rows=full_task.rows[is_left])
  splits[suite.TRAIN] = {task: rest} if len(rest.rows) else {}


def _draw(
    count: int,
    sets: Mapping[str, config.Heldout],
    seed: int,
    rank: Callable[[int], np.ndarray],
) -> dict[str, np.ndarray]:
  """Draws the share of each set, at least one item.

  Args:
    count: the number of items to draw from.
    sets: held-out sets that have a share.
    seed: the seed of sets without one.
    rank: returns all items in the sequence in which a seed draws them.

  Returns:
    The numbers of the items of each set, int64.
  """
  selected, is_free = {}, np.ones(count, bool)
  for name, heldout in sorted(
      sets.items(), key=lambda item: item[1].seed is None
  ):
    ranked = rank(seed if heldout.seed is None else heldout.seed)
    size = max(1, round(heldout.share * count))
    selected[name] = ranked[is_free[ranked]][:size]
    is_free[selected[name]] = False
  return selected


def _rank(seed: int, task: str) -> int:
  """Returns a random number of the seed and the task's name only."""
  words = np.random.PCG64([seed, zlib.crc32(task.encode())])
  return int(words.random_raw())
