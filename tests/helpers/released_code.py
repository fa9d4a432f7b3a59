"""The released code's arrangements, restated plainly to test against.

Rows are anything; a row is named by its place in the list of all training
rows (2406.11721, released code; in the words of its algorithms).
"""

import random

import numpy as np


def cluster(rows_by_task: dict, cap: int = 20) -> list:
  """Returns the first `cap` rows of each task, task by task."""
  return [row for rows in rows_by_task.values() for row in rows[:cap]]


def round_robin(rows_by_task: dict, cap: int = 20) -> list:
  """Takes a row of each task in turn, while it has rows, `cap` times."""
  left = {task: list(rows) for task, rows in rows_by_task.items()}
  order = []
  for _ in range(cap):
    for rows in left.values():
      if rows:
        order.append(rows.pop(0))
  return order


def random_(rows_by_task: dict, cap: int = 20, seed: int = 0) -> list:
  """Returns the cluster order, shuffled by Python's generator."""
  order = cluster(rows_by_task, cap)
  random.seed(seed)
  random.shuffle(order)
  return order


def select_min(distance: np.ndarray, count: int) -> list[int]:
  """Takes rounds of nearest rows until at least `count` are taken.

  Args:
    distance: [N, M], of training rows to held-out rows.
    count: where to stop; the last round is kept whole.
  """
  left = distance.copy()
  taken_mark = distance.max() + 1
  order: list[int] = []
  while len(order) < min(count, len(left)):
    # In one round two columns may take the same row; ties: lowest row.
    picked = sorted(set(np.argmin(left, axis=0).tolist()))
    order += picked
    left[picked] = taken_mark
  return order


def select_max(distance: np.ndarray, count: int) -> list[int]:
  """Takes rounds of farthest rows; otherwise as select_min."""
  return select_min(-distance, count)


def min_(distance: np.ndarray, count: int) -> list[int]:
  """Returns MIN: near rounds only."""
  return select_min(distance, count)


def max_(distance: np.ndarray, count: int) -> list[int]:
  """Returns MAX: far rounds only."""
  return select_max(distance, count)


def nft(distance: np.ndarray, half: int) -> list[int]:
  """Returns NFT: `half` near, then `half` far the other way round."""
  nearest, farthest = select_min(distance, half), select_max(distance, half)
  return list(dict.fromkeys(nearest + farthest[::-1]))


def fft(distance: np.ndarray, half: int) -> list[int]:
  """Returns FFT: `half` far, then `half` near the other way round."""
  nearest, farthest = select_min(distance, half), select_max(distance, half)
  return list(dict.fromkeys(farthest + nearest[::-1]))


def rt(distance: np.ndarray, half: int, seed: int = 0) -> list[int]:
  """Returns RT: NFT's rows, shuffled by Python's generator."""
  order = nft(distance, half)
  random.seed(seed)
  random.shuffle(order)
  return order
