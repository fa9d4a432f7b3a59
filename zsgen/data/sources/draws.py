"""Draws: which instances of each task a suite takes, and in which sequence.

`config.data.draw` names one. "seed" is this project's own: a task's draw
depends on the seed and its name only. "first_shuffle", "first_sample" and
"sample" draw as the released code of 2406.11721 does, row for row, if the
tasks are in the order of its key list:

  first_shuffle  section 3.1: the first rows of each training task; all
                 held-out rows are shuffled at once as Hugging Face's
                 Dataset.shuffle(seed) does, and the first of each task kept.
  first_sample   section 4: the first rows of each training task (all of them
                 in the paper); held-out tasks sampled by Python's generator.
  sample         section 3.2: that generator samples the training tasks
                 first, then the held-out tasks.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import itertools
import random
import zlib

import numpy as np

from zsgen.core import config, errors

RowNumbers = Sequence[int] | np.ndarray


def permuted(task: str, rows: int, cap: int, seed: int) -> RowNumbers:
  """Returns at most `cap` of a task's rows, by a permutation of its own."""
  rng = np.random.default_rng([seed, zlib.crc32(task.encode())])
  return rng.permutation(rows)[:cap]


def first(task: str, rows: int, cap: int, seed: int) -> RowNumbers:
  """Returns the first `cap` of a task's rows, in file order."""
  del task, seed
  return range(min(cap, rows))


# Draws that need no other task: (task, its rows, cap, seed) -> row numbers.
BY_TASK: dict[str, Callable[[str, int, int, int], RowNumbers]] = {
    "seed": permuted,
    "first": first,
}

# (rows of each task, cap, seed, the suite's generator) -> rows of each task.
_Rule = Callable[
    [Mapping[str, int], int, int, random.Random], Iterator[RowNumbers]
]


def _draw_by_task(draw: str) -> _Rule:
  """Returns a rule that draws each task on its own."""

  def rule(
      counts: Mapping[str, int], cap: int, seed: int, rng: random.Random
  ) -> Iterator[RowNumbers]:
    """Yields the row numbers of each task, in the order of `counts`."""
    del rng
    for task, rows in counts.items():
      yield BY_TASK[draw](task, rows, cap, seed)

  return rule


def _sampled(
    counts: Mapping[str, int], cap: int, seed: int, rng: random.Random
) -> Iterator[RowNumbers]:
  """Draws by Python's random.sample, one task after another."""
  del seed
  for rows in counts.values():
    # A task without rows takes nothing from the generator.
    yield rng.sample(range(rows), min(cap, rows))


def _shuffled(
    counts: Mapping[str, int], cap: int, seed: int, rng: random.Random
) -> Iterator[RowNumbers]:
  """Yields the first `cap` of each task in one permutation of all rows."""
  del rng
  borders = np.cumsum([0, *counts.values()])
  shuffled = np.random.default_rng(seed).permutation(borders[-1])
  task = np.searchsorted(borders, shuffled, side="right") - 1
  # A stable sort by task keeps the shuffled sequence inside each.
  grouped = shuffled[np.argsort(task, kind="stable")]
  for begin, end in itertools.pairwise(borders):
    yield grouped[begin:end][:cap] - begin


# Rules of the training tasks and of the held-out tasks.
_RULES: dict[str, tuple[_Rule, _Rule]] = {
    **{name: (_draw_by_task(name), _draw_by_task(name)) for name in BY_TASK},
    "first_shuffle": (_draw_by_task("first"), _shuffled),
    "first_sample": (_draw_by_task("first"), _sampled),
    "sample": (_sampled, _sampled),
}
DRAWS = tuple(_RULES)


def check_seeds(sets: Mapping[str, config.Heldout], name: str) -> None:
  """Checks that held-out sets may have seeds of their own.

  Args:
    sets: the held-out sets by name.
    name: one of DRAWS.

  Raises:
    InputError: tasks are not drawn one by one, so that a set has no draw of its
      own.
  """
  seeded = [label for label in sets if sets[label].seed is not None]
  if seeded and name not in BY_TASK:
    raise errors.InputError(
        f"config.data.heldout.{min(seeded)}.seed: config.data.draw={name!r}"
        " draws all held-out sets together. Leave the seed out, or take a draw"
        f" of {', '.join(BY_TASK)}."
    )


def draw(
    name: str,
    counts: tuple[Mapping[str, int], Mapping[str, int]],
    caps: tuple[int, int],
    seed: int,
    heldout_seed: int | None = None,
) -> dict[str, RowNumbers]:
  """Draws the instances of every task.

  Args:
    name: one of DRAWS.
    counts: rows of each training task and of each held-out task; their
      sequence matters wherever tasks share a generator.
    caps: most instances of a training task and of a held-out task.
    seed: of the generators.
    heldout_seed: of the generators of held-out tasks; None: they continue those
      of the training tasks.

  Returns:
    For each task the numbers of its rows, in drawn sequence.
  """
  training, heldout = counts
  draw_training, draw_heldout = _RULES[name]
  rng = random.Random(seed)
  drawn = [
      *zip(training, draw_training(training, caps[0], seed, rng), strict=True)
  ]
  if heldout_seed is not None:
    seed, rng = heldout_seed, random.Random(heldout_seed)
  drawn += zip(heldout, draw_heldout(heldout, caps[1], seed, rng), strict=True)
  return dict(drawn)
