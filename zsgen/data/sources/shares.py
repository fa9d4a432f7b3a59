"""Held-out sets that are a share of what is left to train on."""

from collections.abc import Mapping, Sequence
import zlib

import numpy as np

from zsgen.data import suite
from zsgen.data.sources import groups


def move(
    made: dict[str, dict[str, groups.Task]],
    shares: Mapping[str, float],
    seed: int,
    unlabelled: str,
) -> None:
  """Moves shares of the training tasks to held-out sets.

  Args:
    made: the tasks of each split; changed in place.
    shares: of the training tasks, for each held-out set; 0 for none.
    seed: draws them.
    unlabelled: the task whose rows name none: if it is the only one, its rows
      are shared out, and become the task `<task>.<set>` in each set.
  """
  shares = {name: share for name, share in shares.items() if share}
  left = made[suite.TRAIN]
  if shares and list(left) == [unlabelled]:
    _share_rows(made, shares, seed, unlabelled)
    return
  ranked = sorted(left, key=lambda task: (_rank(seed, task), task))
  for name, taken in _cut(ranked, shares).items():
    made[name] |= {task: left.pop(task) for task in taken}


def _share_rows(
    made: dict[str, dict[str, groups.Task]],
    shares: Mapping[str, float],
    seed: int,
    task: str,
) -> None:
  """The same for the rows of the one task, which names none."""
  whole = made[suite.TRAIN][task]
  rng = np.random.default_rng([seed, zlib.crc32(f"share of {task}".encode())])
  ranked = rng.permutation(whole.rows)
  taken = _cut(ranked, shares)
  for name, rows in taken.items():
    part = whole._replace(rows=np.sort(rows))
    made[name][f"{task}.{name}"] = part
  count = sum(map(len, taken.values()))
  rest = whole._replace(rows=np.sort(ranked[count:]))
  made[suite.TRAIN] = {task: rest} if len(rest.rows) else {}


def _cut(
    ranked: Sequence[str] | np.ndarray, shares: Mapping[str, float]
) -> dict[str, Sequence[str] | np.ndarray]:
  """Cuts the shares off the front, one after another; each at least one."""
  taken, first = {}, 0
  for name, share in shares.items():
    count = max(1, round(share * len(ranked)))
    taken[name] = ranked[first : first + count]
    first += count
  return taken


def _rank(seed: int, task: str) -> int:
  """A random number that depends on the seed and the task's name only."""
  words = np.random.PCG64([seed, zlib.crc32(task.encode())])
  return int(words.random_raw())
