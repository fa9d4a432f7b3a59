"""Spreads the examples of many steps over rows, and rows over row groups.

All steps are packed at once. The results are integers that depend on the
lengths alone, so they are the same on every machine. Axes: S steps, B examples,
R rows, G row groups.
"""

import numpy as np

from zsgen.train import layouts

# Exchanges that are tried for a step before it counts as one that does not fit.
_EXCHANGES = 24
# Elements of the largest temporary array.
_ELEMENTS = 1 << 21
_NEVER = np.iinfo(np.int64).max


def spread(
    lengths: np.ndarray, rows: int, target: int = 0
) -> tuple[np.ndarray, np.ndarray]:
  """Spreads examples over rows so that the fullest row is short.

  The longest example comes first, and each goes into the emptiest row. Then the
  fullest row gives an example to another row, or exchanges one, as long as that
  makes it shorter and it is longer than `target`.

  Args:
    lengths: tokens of each example, int [S, B].
    rows: the number of rows.
    target: tokens of a row that are short enough.

  Returns:
    The row of each example, int32 [S, B], and the tokens of each row,
    int64 [S, R].
  """
  size = max(1, _ELEMENTS // (lengths.shape[1] * (lengths.shape[1] + rows)))
  parts = [
      _spread(lengths[i : i + size].astype(np.int64), rows, target)
      for i in range(0, len(lengths), size)
  ]
  assigned, loads = zip(*parts, strict=True)
  return np.concatenate(assigned), np.concatenate(loads)


def _spread(
    lengths: np.ndarray, rows: int, target: int
) -> tuple[np.ndarray, np.ndarray]:
  """Assigns sequences to rows of about equal loads.

  Returns the row of each sequence, int32 [steps, slots], and the loads of rows,
  int64 [steps, rows]. Steps above the target are improved by exchanges.
  """
  steps = np.arange(len(lengths))
  loads = np.zeros((len(lengths), rows), np.int64)
  assigned = np.zeros(lengths.shape, np.int32)
  for slots in np.argsort(-lengths, axis=1, kind="stable").T:
    row = loads.argmin(1)
    loads[steps, row] += lengths[steps, slots]
    assigned[steps, slots] = row
  active = np.flatnonzero(loads.max(1) > target)
  for _ in range(_EXCHANGES):
    if not len(active):
      break
    better = _exchange(lengths, assigned, loads, active)
    active = active[better]
    active = active[loads[active].max(1) > target]
  return assigned, loads


def _exchange(
    lengths: np.ndarray,
    assigned: np.ndarray,
    loads: np.ndarray,
    active: np.ndarray,
) -> np.ndarray:
  """Makes the best exchange of the fullest row of each of some steps.

  Args:
    lengths: tokens of each example, [S, B].
    assigned: the row of each example, [S, B]; updated.
    loads: tokens of each row, [S, R]; updated.
    active: the steps, [A].

  Returns:
    Whether there was an exchange that makes the fullest row shorter, bool [A].
  """
  every = np.arange(len(active))
  tokens, row, load = lengths[active], assigned[active], loads[active]
  count, examples = tokens.shape
  top = load.argmax(1)
  is_top = row == top[:, None]
  # Examples of the fullest row come first; a row has but a few.
  count_of_top = int(is_top.sum(1).max())
  movable = np.argsort(~is_top, axis=1, kind="stable")[:, :count_of_top]
  # What each of them is exchanged for: another example, or nothing of a row.
  partner_row = np.concatenate(
      [row, np.broadcast_to(np.arange(load.shape[1]), load.shape)], axis=1
  )
  partner = np.concatenate([tokens, np.zeros_like(load)], axis=1)
  partner_load = np.take_along_axis(load, partner_row, axis=1)
  moved = (
      np.take_along_axis(tokens, movable, axis=1)[:, :, None] - partner[:, None]
  )
  result = np.maximum(load[every, top][:, None, None] - moved, 0)
  result = np.maximum(result, partner_load[:, None] + moved)
  is_allowed = (
      (moved > 0)
      & np.take_along_axis(is_top, movable, axis=1)[:, :, None]
      & (partner_row != top[:, None])[:, None]
  )
  flat = np.where(is_allowed, result, _NEVER).reshape(count, -1)
  best = flat.argmin(1)
  better = flat[every, best] < load[every, top]
  improved, step = every[better], active[better]
  item, partner_index = np.divmod(best[better], partner.shape[1])
  tokens_moved = moved[improved, item, partner_index]
  target_row = partner_row[improved, partner_index]
  loads[step, top[improved]] -= tokens_moved
  loads[step, target_row] += tokens_moved
  is_example = partner_index < examples
  assigned[step[is_example], partner_index[is_example]] = top[improved][
      is_example
  ]
  assigned[step, movable[improved, item]] = target_row
  return better


def place_rows(
    assigned: np.ndarray, rows: int, loss: np.ndarray, split: layouts.Split
) -> tuple[np.ndarray, np.ndarray]:
  """Orders rows so that row groups have about as many positions with loss.

  Args:
    assigned: the row of each example, int [S, B].
    rows: the number of rows, a multiple of the number of row groups.
    loss: tokens with loss of each example, int [S, B].
    split: how the rows are split.

  Returns:
    The new row of each example, int32 [S, B], and the tokens with loss of a
    share of each row group, int64 [S, G].
  """
  steps, groups = np.arange(len(assigned)), split.row_step
  row_loss = np.zeros((len(assigned), rows), np.int64)
  np.add.at(row_loss, (steps[:, None], assigned), loss)
  if groups == 1:
    return assigned, split.share(row_loss.sum(1, keepdims=True))
  room = rows // groups
  loads = np.zeros((len(assigned), groups), np.int64)
  used = np.zeros_like(loads)
  new = np.zeros(row_loss.shape, np.int32)
  for row in np.argsort(-row_loss, axis=1, kind="stable").T:
    group = np.where(used < room, loads, _NEVER).argmin(1)
    shard, part = np.divmod(group, split.parts)
    index = used[steps, group]
    new[steps, row] = (shard * room + index) * split.parts + part
    used[steps, group] += 1
    loads[steps, group] += row_loss[steps, row]
  return np.take_along_axis(new, assigned, axis=1), split.share(loads)


def count_loss(
    assigned: np.ndarray, rows: int, loss: np.ndarray, split: layouts.Split
) -> np.ndarray:
  """Returns the tokens with loss of a share of each row group, int64 [S, G].

  See `place_rows` for the arguments.
  """
  counts = np.zeros((len(assigned), split.row_step), np.int64)
  steps = np.arange(len(assigned))[:, None]
  np.add.at(counts, (steps, split.group(assigned, rows)), loss)
  return split.share(counts)
