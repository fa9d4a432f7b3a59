"""Which examples of a held-out set are evaluated."""

import numpy as np
import pytest

from zsgen.evals import subsets

IDS = np.array([3, 4, 5, 7, 8, 12, 13])
TASKS = np.array([1, 1, 1, 2, 2, 0, 3])


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (1, [3]),
        (2, [3, 7]),
        (4, [3, 7, 12, 13]),
        (5, [3, 4, 7, 12, 13]),
        (6, [3, 4, 7, 8, 12, 13]),
        (7, IDS),
        (100, IDS),
        (-1, IDS),
    ],
)
def test_every_task_is_kept_while_there_is_room(limit, expected):
  assert subsets.choose(IDS, TASKS, limit).tolist() == list(expected)
